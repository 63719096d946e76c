/**
 * A start that cannot go on for a reason the operator can act on. Its message is a whole sentence,
 * meant to be printed as it is, without a stack.
 */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}

/** The `code` of a system error (`ENOENT`, `EACCES`, …), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Turns the file errors an operator can act on into sentences; other errors come back as is. */
export function explainFileError(error: unknown, path: string): unknown {
  switch (systemErrorCode(error)) {
    case 'EACCES':
    case 'EPERM':
      return new StartupError(
        `No permission to write to ${path}. Let this user write there, or choose another folder.`,
        { cause: error },
      )
    case 'EROFS':
      return new StartupError(`${path} is on a file system that cannot be written to.`, {
        cause: error,
      })
    case 'ENOSPC':
    case 'EDQUOT':
      return new StartupError(diskFull(path), { cause: error })
    case 'ENOTDIR':
    case 'EEXIST':
      return new StartupError(`${path} is needed as a folder, but a file is in its way.`, {
        cause: error,
      })
    default:
      return error
  }
}

/** True when what PostgreSQL wrote means a full disk: a write cut short has no error of its own. */
export function saysDiskFull(output: string): boolean {
  return /No space left on device|Check free disk space|Disk quota exceeded/.test(output)
}

/** The sentence for a full disk. */
export function diskFull(path: string): string {
  return `The disk that holds ${path} is full. Free some space and start again.`
}
