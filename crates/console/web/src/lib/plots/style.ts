/** Colours of the page for canvases, which know no custom properties. */

/** A custom property as a colour that any canvas understands. */
export function colour(name: string, within: HTMLElement = document.documentElement): string {
  // `light-dark()` is resolved for a property that is used, not for a custom one.
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(${name})`;
  within.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Tells when light and dark change places; returns how to stop it. */
export function onTheme(changed: () => void): () => void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const attribute = new MutationObserver(changed);
  attribute.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  dark.addEventListener("change", changed);
  return () => {
    attribute.disconnect();
    dark.removeEventListener("change", changed);
  };
}
