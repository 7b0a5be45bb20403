/** What a person chose for this browser: the colours, and whether a letter places a hold. */
type Theme = "system" | "light" | "dark";

const THEME = "interlock.theme";
const KEYS = "interlock.keys";

/** A browser may refuse storage; then a choice lasts as long as the page. */
function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // It lasts as long as the page.
  }
}

class Choice {
  theme = $state<Theme>("system");
  /** Whether Shift+H opens the hold dialog. */
  keys = $state(read(KEYS) !== "off");

  constructor() {
    const kept = read(THEME);
    if (kept === "light" || kept === "dark") this.setTheme(kept);
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    write(THEME, theme);
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }

  setKeys(on: boolean): void {
    this.keys = on;
    write(KEYS, on ? "on" : "off");
  }
}

export const choice = new Choice();
