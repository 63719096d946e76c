// Named places at which a test may kill this process: before and after whatever another process can see. Nothing is
// armed but in the sandbox, by `npm run chaos`.
let strike: ((name: string) => void) | null = null

/** Passed on the way; when armed, the process may end here, without warning. */
export function crashPoint(name: string): void {
  strike?.(name)
}

/** @param handler called with every name that is passed; it may kill the process */
export function armCrashPoints(handler: (name: string) => void): void {
  strike = handler
}
