/** Where the viewer is: the address bar, as reactive state. */
class Router {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));

  constructor() {
    addEventListener("popstate", () => this.read());
  }

  private read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  /** Goes to an address of the console. */
  go(href: string, replace = false): void {
    if (replace) history.replaceState(null, "", href);
    else history.pushState(null, "", href);
    this.read();
    scrollTo(0, 0);
    // Screen readers and keyboards begin at the new page's heading.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
  }

  /** The parts of the path, decoded: `/runs/ab` is `["runs", "ab"]`. */
  get parts(): string[] {
    return this.path.split("/").filter((p) => p !== "").map(decoded);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const router = new Router();

/** Follows clicks on the console's own links without loading the page anew. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (link === null || link.origin !== location.origin || link.target !== "" || link.hasAttribute("download")) return;
  if (/^\/(api|console|passports|\.well-known)\//.test(link.pathname)) return;
  if (link.hash !== "" && link.pathname === location.pathname && link.search === location.search) return;
  event.preventDefault();
  router.go(link.pathname + link.search + link.hash);
}
