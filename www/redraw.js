// Decides when the page is drawn: at most once a frame, and every half second while it is hidden.

/** A hidden page gets no frames, but its title counts messages. */
const HIDDEN_MS = 500;
/** A visible page is redrawn this often for its countdown and its round trips. */
const TICK_MS = 1000;

/** @returns {{soon(): void, now(): void}} */
export function createRedraw(window, model, render) {
  const { document } = window;
  const title = document.title;
  let frame;
  let timer;
  let marked = false;

  function now() {
    window.cancelAnimationFrame(frame);
    window.clearTimeout(timer);
    frame = timer = undefined;
    render();
    countInTitle();
    if (!marked && model.entries.some((entry) => entry.kind === "in")) {
      marked = true;
      window.performance.mark("punchline:first-message");
    }
  }

  /** Shows in the title how many messages nobody has looked at, and a dot in the icon. */
  function countInTitle() {
    let unread = 0;
    for (const count of model.unread.values()) unread += count;
    const text = unread ? `(${unread}) ${title}` : title;
    if (document.title !== text) document.title = text;
    const href = unread ? "favicon-unread.svg" : "favicon.svg";
    const icon = document.getElementById("icon");
    if (icon && icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  }

  function soon() {
    if (frame === undefined && !document.hidden) frame = window.requestAnimationFrame(now);
    // A frame that was asked for does not come if the page is hidden meanwhile.
    timer ??= window.setTimeout(now, HIDDEN_MS);
  }

  window.setInterval(() => document.hidden || soon(), TICK_MS);
  return { soon, now };
}
