// dom: elements of the page. Text goes in as text, never as markup.

/**
 * An element with attributes (`onclick` and the like are listeners) and children.
 * @type {Make}
 */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A button that is pressed or not; `key` names it, so that it keeps the focus when its panel is written anew.
 * @param {string} text @param {boolean | null} on @param {() => void} onclick
 * @param {string} [title] @param {string} [key] */
export function press(text, on, onclick, title = "", key = text) {
  const state = on === null ? {} : { "aria-pressed": String(on) };
  return make("button", { type: "button", ...state, title, onclick, "data-key": key }, text);
}

/**
 * Puts children into a panel; what had the focus there has it again.
 * @param {HTMLElement} panel
 * @param {Node[]} children
 */
export function rewrite(panel, children) {
  const had = panel.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null,
    key = had?.dataset.key;
  panel.replaceChildren(...children);
  if (!had) return;
  const again = [...panel.querySelectorAll("[data-key]")].find((one) => /** @type {any} */ (one).dataset.key === key);
  /** @type {HTMLElement | undefined} */ (again)?.focus({ preventScroll: true });
}

/**
 * Where an event is in an element, in the element's own pixels: a page may be zoomed or scaled by its style, as slides are.
 * @param {HTMLElement} element @param {MouseEvent} event @returns {[number, number]}
 */
export function placeIn(element, event) {
  const box = element.getBoundingClientRect(),
    scale = box.width / element.offsetWidth || 1;
  return [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
}

/** Hands a file to the reader. @param {string} name @param {Blob} content */
export function save(name, content) {
  const url = URL.createObjectURL(content),
    link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Puts text on the clipboard; true if it is there. @param {string} text */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = make("textarea", { style: "position: fixed; opacity: 0" });
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy"); // where a page opened from disk may not write to the clipboard
    box.remove();
    return done;
  }
}
