// The name that a person has chosen, kept in this browser.

const KEY = "punchline:name";

/** The name, or "". */
export function loadName(window) {
  try {
    return window.localStorage.getItem(KEY) ?? "";
  } catch {
    // Storing is forbidden here: the name lasts as long as the tab.
    return window.punchlineName ?? "";
  }
}

export function saveName(window, name) {
  try {
    window.localStorage.setItem(KEY, name);
  } catch {
    window.punchlineName = name;
  }
}
