"""The mod-10 check digit of GS1 keys and national drug standard codes (`spec/codes.md` §1.1)."""


def check_digit(body: str) -> str:
    """The digit that belongs behind `body` (ASCII digits): weights 3, 1, 3, 1 … from the right."""
    digits = body.encode()
    # ord("0") is 48; subtracting it once per weight is cheaper than converting each digit.
    heavy, light = digits[::-1][::2], digits[::-1][1::2]
    total = 3 * (sum(heavy) - 48 * len(heavy)) + sum(light) - 48 * len(light)
    return str(-total % 10)


def has_valid_check_digit(number: str) -> bool:
    """True when the last digit of `number` (ASCII digits) is the check digit of those before it."""
    return check_digit(number[:-1]) == number[-1]


def wrong_check_digit(what: str, number: str) -> str:
    """Words for a number whose check digit is wrong."""
    right = check_digit(number[:-1])
    return f"check digit: {what} {number} ends in {number[-1]}, its digits ask for {right}; scan or type it again"


def repeated_digit(number: str) -> tuple[str, ...]:
    """Words where a number, though its check digit is right, is one digit repeated, such as thirteen zeros."""
    return (f"placeholder: {number} is one digit repeated; scan the code on the box",) if len(set(number)) == 1 else ()
