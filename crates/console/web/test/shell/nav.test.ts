import { describe, expect, it } from "vitest";
import { isCurrent, leadingRole, navigation } from "../../src/lib/shell/nav";

describe("navigation", () => {
  it("begins with what a role does most", () => {
    expect(navigation(["operator"])[0]?.words).toBe("Operate");
    expect(navigation(["security-officer"])[0]?.words).toBe("Govern");
    expect(navigation(["auditor"])[0]?.words).toBe("Evidence");
    expect(navigation(["ml-engineer"])[0]?.words).toBe("Data");
  });

  it("shows every page to everybody, whatever the roles", () => {
    const pages = (roles: Parameters<typeof navigation>[0]): string[] =>
      navigation(roles).flatMap((g) => g.links.map((l) => l.words)).sort();
    expect(pages([])).toEqual(pages(["security-officer", "auditor"]));
    expect(pages([])).toHaveLength(13);
  });

  it("marks one link for each path", () => {
    const links = navigation([]).flatMap((g) => g.links);
    for (const first of ["", "order", "runs", "trace", "reports", "passport", "people", "models"]) {
      expect(links.filter((link) => isCurrent(link, first))).toHaveLength(1);
    }
  });

  it("takes the role that acts when there are several", () => {
    expect(leadingRole(["auditor", "operator"])).toBe("operator");
    expect(leadingRole(["cell"])).toBeNull();
  });
});
