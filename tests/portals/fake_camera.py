"""A camera for Chromium that films one picture: uncompressed video (Y4M) made from a barcode."""

import io
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT, FRAMES = 640, 480, 4


def film(picture: bytes, path: Path, turned: float = 0, width: int = 400) -> Path:
    """A few frames of the picture on white, as wide as said, turned by some degrees."""
    code = Image.open(io.BytesIO(picture)).convert("L")
    code = code.resize((width, max(1, code.height * width // code.width)), Image.Resampling.BICUBIC)
    code = code.rotate(turned, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    code.thumbnail((WIDTH - 20, HEIGHT - 20))
    scene = Image.new("L", (WIDTH, HEIGHT), 255)
    scene.paste(code, ((WIDTH - code.width) // 2, (HEIGHT - code.height) // 2))
    colourless = bytes([128]) * (WIDTH * HEIGHT // 2)
    frame = b"FRAME\n" + scene.tobytes() + colourless
    path.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode() + frame * FRAMES)
    return path


def flags(path: Path) -> tuple[str, ...]:
    """What tells Chromium to use it, without asking."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
    )
