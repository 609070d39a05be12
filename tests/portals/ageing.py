"""Ageing-friendly numbers of pages (适老化), measured in a real browser: type, targets, named switch, no pop-ups."""

from typing import Any

TEXT_PX, ELDER_TEXT_PX = 16, 20
TARGET_PX, ELDER_TARGET_PX = 44, 60
"""CSS pixels. The published specifications ask for 18 in the elder version; ours goes further."""

MEASURE = """
([textMin, targetMin]) => {
  const faults = [];
  const shown = (element) => {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return style.visibility !== "hidden" && style.display !== "none" && box.width > 1 && box.height > 1 &&
      box.right > 0 && !element.closest("[hidden]") && element.checkVisibility();
  };
  const name = (element) => element.tagName.toLowerCase() + (element.id ? "#" + element.id : "") +
    " " + JSON.stringify((element.textContent || element.value || "").trim().slice(0, 30));
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(element) || !shown(element)) continue;
    if (element.closest("script, style, svg, noscript, .skip, .visually-hidden, option")) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    if (size < textMin - 0.01) faults.push(`text of ${size} px: ${name(element)}`);
    const line = parseFloat(style.lineHeight) / size;
    const running = element.closest("p, li, dd, td") && !element.closest("button, .button");
    if (!(line >= (running ? 1.5 : 1.3) - 0.001)) faults.push(`line height ${line}: ${name(element)}`);
    if (!/sans-serif$|monospace$/.test(style.fontFamily)) faults.push(`font ${style.fontFamily}: ${name(element)}`);
  }
  const targets = "a[href], button, input, select, textarea, summary, [role=button], [tabindex='0']";
  for (const element of document.querySelectorAll(targets)) {
    if (!shown(element) || element.matches("input[type=hidden], .skip")) continue;
    if (parseFloat(getComputedStyle(element).opacity) === 0) continue;
    // A link within a sentence takes the height of its line; a box to tick is touched by its label.
    const around = element.closest("p, li, dd, td, label");
    const inSentence = element.matches("a") && getComputedStyle(element).display === "inline" && around &&
      around.textContent.trim() !== element.textContent.trim();
    const label = element.matches("[type=checkbox], [type=radio]") &&
      (element.closest("label") || document.querySelector(`label[for="${element.id}"]`));
    const box = (label || element).getBoundingClientRect();
    if (!inSentence && (box.height < targetMin - 0.5 || box.width < targetMin - 0.5))
      faults.push(`target of ${Math.round(box.width)} × ${Math.round(box.height)} px: ${name(element)}`);
  }
  for (const second of document.querySelectorAll("p + p")) {
    const first = second.previousElementSibling;
    if (!shown(first) || !shown(second) || first.closest(".row")) continue;
    const style = getComputedStyle(first);
    const between = parseFloat(style.lineHeight) - parseFloat(style.fontSize);
    const gap = second.getBoundingClientRect().top - first.getBoundingClientRect().bottom;
    if (gap < 1.3 * between - 0.5 && gap >= 0) faults.push(`paragraphs ${gap} px apart: ${name(second)}`);
  }
  if (document.querySelector("dialog[open], [role=dialog], [role=alertdialog]")) faults.push("a pop-up is open");
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) faults.push(`the page is ${wide} px wider than its window`);
  return faults;
}
"""

ENLARGE = "(size) => { document.documentElement.style.fontSize = size; }"


def ageing_faults(page: Any, *, elder: bool) -> list[str]:
    """What of the numbers the page as it stands does not keep; the elder version has larger ones."""
    numbers = [ELDER_TEXT_PX, ELDER_TARGET_PX] if elder else [TEXT_PX, TARGET_PX]
    faults: list[str] = page.evaluate(MEASURE, numbers)
    switch = "标准版" if elder else "长辈版"
    if page.locator("html[lang=zh-CN]").count() and not page.get_by_role("link", name=switch).count():
        faults.append(f"there is no switch named {switch}")
    return faults


def enlarged_faults(page: Any, pixels: int = 30) -> list[str]:
    """What breaks once a reader has set main text to 30 px, as the specifications ask."""
    page.evaluate(ENLARGE, f"{pixels}px")
    faults: list[str] = page.evaluate(MEASURE, [pixels, TARGET_PX])
    page.evaluate(ENLARGE, "")
    return faults


def unreachable(page: Any) -> list[str]:
    """Controls that Tab never comes to."""
    targets = "a[href], button:not([disabled]), input:not([type=hidden]), select, textarea, summary"
    visible = "element => element.checkVisibility()"
    wanted = [one for one in page.locator(targets).element_handles() if one.evaluate(visible)]
    page.evaluate("() => { document.activeElement?.blur(); window.__reached = new Set(); }")
    for _ in range(len(wanted) + 10):
        page.keyboard.press("Tab")
        page.evaluate("() => window.__reached.add(document.activeElement)")
    return [
        str(one.evaluate("e => e.outerHTML.slice(0, 120)"))
        for one in wanted
        if not one.evaluate("e => window.__reached.has(e)")
    ]
