/** How the browser of the tests is started. */
export const launchOptions = {
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
};

/** The same with more arguments, for a browser of a test's own. */
export function launchedWith(...more: string[]): typeof launchOptions {
  return { ...launchOptions, args: [...launchOptions.args, ...more] };
}
