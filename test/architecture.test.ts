// The rules of architecture.md and of the house, held against the real tree. A failure names file and line, and how to
// mend it. What is excepted is listed here with its reason; an exception that is not needed any more fails, too.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { catalog } from '../jobs/catalog.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(ROOT + path, 'utf8')

interface Literal {
  readonly index: number
  readonly text: string
}
interface Source {
  readonly path: string
  readonly text: string
  /** The text with comments and the insides of strings, templates and regular expressions blanked, place by place. */
  readonly code: string
  /** Strings and templates, place by place; a value put into a template is blanked: `${ }`. */
  readonly literals: readonly Literal[]
}

/** Tells code from comments and literals. Knows what this tree uses of the language, not all of it. */
function lex(path: string, text: string): Source {
  const code = text.split('')
  const literals: Literal[] = []
  const blank = (from: number, to: number): void => {
    for (let at = from; at < to; at += 1) if (code[at] !== '\n') code[at] = ' '
  }
  const endOf = (mark: string, from: number): number => {
    const found = text.indexOf(mark, from)
    return found < 0 ? text.length : found + mark.length
  }
  /** After the closing delimiter of what opens at `open`; values in templates are scanned as code. */
  const literal = (open: number): number => {
    let [at, words, from] = [open + 1, text[open]!, open + 1]
    for (; at < text.length && text[at] !== text[open]; at += 1) {
      if (text[at] === '\\') at += 1
      else if (text[open] === '`' && text.startsWith('${', at)) {
        const end = scan(at + 2, true)
        words += text.slice(from, at + 2) + text.slice(at + 2, end).replace(/./g, ' ')
        blank(from, at + 2)
        at = from = end
      }
    }
    blank(from, at)
    literals.push({ index: open, text: words + text.slice(from, at) })
    return at + 1
  }
  const regularExpression = (open: number): number => {
    let [at, inClass] = [open + 1, false]
    for (; text[at] !== '\n' && (inClass || text[at] !== '/'); at += 1) {
      if (text[at] === '\\') at += 1
      else if (text[at] === '[') inClass = true
      else if (text[at] === ']') inClass = false
    }
    blank(open + 1, at)
    return at + 1
  }
  const beginsExpression = (at: number): boolean => {
    const before = code
      .slice(Math.max(0, at - 40), at)
      .join('')
      .trimEnd()
    return /(^|[(,=:[!&|?{;+\-*%<>~^]|\b(return|case|typeof|of|in))$/.test(before)
  }
  const scan = (start: number, nested: boolean): number => {
    let [at, depth] = [start, 0]
    while (at < text.length) {
      const [one, two] = [text[at]!, text.slice(at, at + 2)]
      const comment = two === '//' ? endOf('\n', at) - 1 : two === '/*' ? endOf('*/', at) : 0
      if (comment > 0) blank(at, comment)
      if (one === '{') depth += 1
      if (one === '}') depth -= 1
      if (nested && depth < 0) return at
      if (comment > 0) at = comment
      else if (/['"`]/.test(one)) at = literal(at)
      else at = one === '/' && beginsExpression(at) ? regularExpression(at) : at + 1
    }
    return at
  }
  scan(0, false)
  return { path, text, code: code.join(''), literals }
}

const GENERATED = /^prisma\/(client|migrations)\//
const sources: readonly Source[] = ['apps', 'jobs', 'prisma', 'test']
  .flatMap((top) => readdirSync(ROOT + top, { recursive: true, encoding: 'utf8' }).map((name) => posix.join(top, name)))
  .filter((path) => /\.(ts|mjs)$/.test(path) && !GENERATED.test(path))
  .sort()
  .map((path) => lex(path, read(path)))
const within = (...folders: string[]): Source[] =>
  sources.filter(({ path }) => folders.some((folder) => path.startsWith(folder)))
const product = within('apps/', 'jobs/', 'prisma/')
const lineOf = ({ path, text }: Source, index: number): string => `${path}:${text.slice(0, index).split('\n').length}`

/** Where a pattern occurs in the code proper. */
const occurrences = (found: readonly Source[], pattern: RegExp): string[] =>
  found.flatMap((source) =>
    [...source.code.matchAll(pattern)].map((match) => `${lineOf(source, match.index)} ${match[0].trim()}`),
  )

/** Tells every violation that is not excepted, and every exception that excepts nothing. */
function hold(violations: readonly string[], fix: string, except: Readonly<Record<string, string>> = {}): void {
  const excepted = Object.keys(except)
  expect
    .soft(
      violations.filter((one) => !excepted.some((prefix) => one.startsWith(prefix))),
      fix,
    )
    .toEqual([])
  const idle = excepted.filter((prefix) => !violations.some((one) => one.startsWith(prefix)))
  expect.soft(idle, 'These exceptions are not needed any more: delete them.').toEqual([])
}

interface Import {
  readonly at: string
  readonly path: string
  readonly words: string
  readonly to: string
}
const IMPORT = /^(?:import|export)\b([^'";]*?)\bfrom\s+'([^']+)'|^import()\s+'([^']+)'|\bimport()\(\s*'([^']+)'/gm
const importsOf = (source: Source): Import[] =>
  [...source.text.matchAll(IMPORT)].map((match) => {
    const to = (match[2] ?? match[4] ?? match[6])!
    const target = to.startsWith('.') ? posix.join(posix.dirname(source.path), to) : to
    return { at: lineOf(source, match.index), path: source.path, words: (match[1] ?? '').trim(), to: target }
  })
const badImports = (found: readonly Source[], good: (one: Import) => boolean): string[] =>
  found
    .flatMap(importsOf)
    .filter((one) => !good(one))
    .map(({ at, to }) => `${at} ${to}`)

/** One pattern of several alternatives. */
const anyOf = (flags: string, ...patterns: RegExp[]): RegExp =>
  new RegExp(patterns.map((one) => one.source).join('|'), flags)

it('these rules read every file to its end: each brace finds its partner', () => {
  expect(sources.length).toBeGreaterThan(100)
  const count = ({ code }: Source, brace: string): number => code.split(brace).length
  expect(sources.filter((one) => count(one, '{') !== count(one, '}')).map(({ path }) => path)).toEqual([])
})

describe('test → apps → jobs → prisma, and never back', () => {
  const isPackage = ({ to }: Import): boolean => !/^(apps|jobs|prisma|test|\.\.)\//.test(to)

  it('jobs import jobs, node, Prisma’s types and small pure libraries', () => {
    const isPrisma = ({ to, words }: Import): boolean =>
      to === 'prisma/client/client.ts' && (words.startsWith('type ') || /^\{\s*(type \w+,\s*)*Prisma\s*\}$/.test(words))
    const good = (one: Import): boolean =>
      /^(jobs\/|node:)/.test(one.to) || ['zod', 'temporal-polyfill'].includes(one.to) || isPrisma(one)
    hold(badImports(within('jobs/'), good), 'A job receives ports: move what is foreign into apps/adapters.')
  })

  it('rules import rules, are synchronous, and leave time zones to period.ts', () => {
    const good = ({ to }: Import): boolean => to.startsWith('jobs/rules/') || to === 'temporal-polyfill'
    hold(badImports(within('jobs/rules/'), good), 'Rules are pure: hand them what they need as arguments.')
    hold(occurrences(within('jobs/rules/'), /\b(async|await|Promise|yield)\b/g), 'Rules are synchronous.')
    const zones = badImports(product, ({ to, path }) => to !== 'temporal-polyfill' || path === 'jobs/rules/period.ts')
    hold(zones, 'Zone rules have one source: call jobs/rules/period.ts.')
  })

  it('nobody but test imports apps, and prisma imports nobody', () => {
    const notFrom =
      (...tops: string[]) =>
      ({ to }: Import): boolean =>
        !tops.includes(to.split('/')[0]!)
    hold(badImports(within('jobs/'), notFrom('apps', 'test')), 'Turn the arrow around: use a port.')
    hold(badImports(within('prisma/'), notFrom('apps', 'jobs', 'test')), 'prisma/ stands at the bottom.')
    hold(badImports(within('apps/'), notFrom('test')), 'What both need belongs outside test/.')
  })

  it('the stand-in for Stripe imports nothing of ours: it is the independent witness', () => {
    const good = (one: Import): boolean => isPackage(one) || one.to.startsWith('apps/sandbox/stripe/')
    hold(badImports(within('apps/sandbox/stripe/'), good), 'The stand-in shares nothing with what it witnesses.')
  })
})

describe('a job', () => {
  const files = sources.flatMap((source) => {
    const match = /^jobs\/([^/]+)\/([^/]+)\.job\.ts$/.exec(source.path)
    return match ? [{ source, folder: match[1]!, stem: match[2]!, name: `${match[1]}.${match[2]}` }] : []
  })
  const FIELDS = ['name', 'payload', 'key', 'retry', 'timeoutMs', 'schedule', 'run', 'bury']
  const REQUIRED = FIELDS.filter((field) => field !== 'schedule' && field !== 'bury')
  const failing = (bad: (job: (typeof files)[number]) => boolean | string): string[] =>
    files
      .map((job) => [job.source.path, bad(job)] as const)
      .filter(([, verdict]) => verdict !== false)
      .map(([path, verdict]) => (verdict === true ? path : `${path} ${verdict}`))

  it('is one file and one line of the catalog, and nothing else registers it', () => {
    const source = sources.find(({ path }) => path === 'jobs/catalog.ts')!
    const imported = importsOf(source)
    const body = source.code.slice(source.code.lastIndexOf('\nimport '))
    const times = (job: (typeof files)[number]): number => {
      const name = imported.find(({ to }) => to === job.source.path)?.words
      return name === undefined ? 0 : [...body.matchAll(new RegExp(`(?<!import )\\b${name}\\b`, 'g'))].length
    }
    hold(
      failing((job) => times(job) !== 1 && `${times(job)} times`),
      'Give it one line in jobs/catalog.ts.',
    )
    hold(
      failing((job) => [...job.source.code.matchAll(/\bdefineJob\(/g)].length !== 1),
      'One job is one defineJob.',
    )
    const strangers = sources.filter(({ path }) => !path.startsWith('test/') && !path.endsWith('.job.ts'))
    hold(occurrences(strangers, /(?<!function )\bdefineJob(<[^>]*>)?\(/g), 'Only a *.job.ts file defines a job.')
  })

  it('is stored under folder.stem, written out where it is defined', () => {
    expect.soft([...catalog.keys()].sort()).toEqual(files.map(({ name }) => name).sort())
    hold(
      failing(({ source, name }) => !source.text.includes(`\n  name: '${name}',`)),
      "Write name: 'folder.stem', literally.",
    )
  })

  it('is called verb-all-plural when it only fans out, and never else', () => {
    const fansOut = ({ stem }: { stem: string }): boolean => /^[a-z]+-all-[a-z-]+s$/.test(stem)
    const isTick = ({ name }: { name: string }): boolean => catalog.get(name)?.schedule !== undefined
    hold(
      failing((job) => fansOut(job) !== /\bstageAll\(/.test(job.source.code)),
      'Only verb-all-plural stages many.',
      {
        'jobs/imports/apply-import.job.ts': 'deals what was sent into chunks, after the prices that all of them need',
        'jobs/invoices/close-month.job.ts': 'drafts whose invoice day has passed do not wait for the tick',
      },
    )
    hold(
      failing((job) => isTick(job) && !fansOut(job)),
      'A tick only asks and fans out.',
    )
    hold(
      failing((job) => !fansOut(job) && /(-all\b|[^s]s$)/.test(job.stem)),
      'verb-singular does one thing.',
    )
  })

  it('and an action begin with a verb that says something', () => {
    const banned = /\/(process|handle|manage|do|run|execute|sync)(-[^/]*)?\.(job|action)\.ts$/
    hold(
      within('jobs/')
        .map(({ path }) => path)
        .filter((path) => banned.test(path)),
      'Say what is done.',
    )
  })

  it('says in its header why running it twice is safe', () => {
    const header = (text: string): string => text.slice(0, text.search(/^(?!\/\/)/m)).replace(/\s*\n\/\/\s*/g, ' ')
    hold(
      failing(({ source }) => !header(source.text).includes('Running it twice is safe')),
      'Say "Running it twice is safe: …" in the header, naming the constraint.',
    )
  })

  it('has its fields in the fixed order', () => {
    const wrong = failing(({ source }) => {
      const body = source.code.slice(source.code.indexOf('defineJob('))
      const object = body.slice(0, body.indexOf('\n})'))
      const all = [...object.matchAll(/^ {2}(?:async )?(\w+)\s*[(:,]/gm)].map((match) => match[1]!)
      const ordered = all.every((field, at) => at === 0 || FIELDS.indexOf(field) > FIELDS.indexOf(all[at - 1]!))
      const whole = REQUIRED.every((field) => all.includes(field)) && all.every((field) => FIELDS.includes(field))
      return !(ordered && whole) && all.join(', ')
    })
    hold(wrong, `The order is ${FIELDS.join(', ')}.`)
  })

  it('is scheduled by five fields of cron, in UTC', () => {
    const RANGES = [
      [0, 59],
      [0, 23],
      [1, 31],
      [1, 12],
      [0, 7],
    ] as const
    const isField = (field: string, [low, high]: readonly [number, number]): boolean =>
      field.split(',').every((part) => {
        const match = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/([1-9]\d?))?$/.exec(part)
        const isIn = (n: string | undefined): boolean => n === undefined || (low <= Number(n) && Number(n) <= high)
        return match !== null && isIn(match[1]) && isIn(match[2])
      })
    const bad = failing(({ name }) => {
      const fields = catalog.get(name)?.schedule?.split(' ')
      return fields !== undefined && !(fields.length === 5 && fields.every((field, at) => isField(field, RANGES[at]!)))
    })
    hold(bad, 'Write minute hour day month weekday.')
    expect([...catalog.values()].some((job) => job.schedule !== undefined)).toBe(true)
  })

  it('has a test that runs it twice', () => {
    const twice = existsSync(`${ROOT}test/jobs/twice.test.ts`) ? read('test/jobs/twice.test.ts') : ''
    const untested = failing(
      ({ folder, stem, name }) =>
        !existsSync(`${ROOT}test/jobs/${folder}/${stem}.job.test.ts`) &&
        !new RegExp(`(?<![\\w.-])${name.replace('.', '\\.')}(?![\\w-])`).test(twice),
    )
    hold(untested, 'Write test/jobs/<folder>/<stem>.job.test.ts, or name the job in test/jobs/twice.test.ts.')
  })
})

describe('the database', () => {
  const schema = read('prisma/schema.prisma')
  const migrations = readdirSync(`${ROOT}prisma/migrations`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sql'))
    .map((name) => read(`prisma/migrations/${name}`))
    .join('\n')
  const MODEL = /((?:^\/\/\/.*\n)*)^model (\w+) \{\n([^]*?)^\}/gm
  const models = [...schema.matchAll(MODEL)].map(([, notes, model, body]) => ({
    model: model!,
    owner: /Owner: ([\w./-]+\.ts)/.exec(notes!)?.[1],
    table: /@@map\("(\w+)"\)/.exec(body!)?.[1] ?? model!,
    instants: [...body!.matchAll(/^ {2}(\w+)\s+DateTime.*@db\.Timestamptz/gm)].map(
      ([line, field]) => /@map\("(\w+)"\)/.exec(line)?.[1] ?? field!,
    ),
  }))

  it('has one writer for each table: the file its model names as owner', () => {
    hold(
      models.filter(({ owner }) => !owner || !existsSync(ROOT + owner)).map(({ model }) => model),
      'Name the model’s owner in prisma/schema.prisma: /// Owner: path/of/the.store.ts.',
    )
    const WRITE = anyOf(
      'g',
      /\b(?:INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?)\s+"?([\w.]+)/,
      /\bUPDATE\s+(?:ONLY\s+)?"?([\w.]+)"?(?:\s+(?:AS\s+)?\w+)?\s+SET\b/,
    )
    const writes = product
      .filter(({ path }) => !path.startsWith('apps/sandbox/stripe/'))
      .flatMap((source) => [
        ...source.literals.flatMap(({ index, text }) =>
          [...text.matchAll(WRITE)].map((match) => ({
            source,
            index: index + match.index,
            table: (match[1] ?? match[2])!,
          })),
        ),
        ...[...source.code.matchAll(/\.(\w+)\.(?:create|update|upsert|delete)(?:Many\w*)?\(/g)].flatMap((match) =>
          models
            .filter(({ model }) => model.toLowerCase() === match[1]!.toLowerCase())
            .map(({ table }) => ({ source, index: match.index, table })),
        ),
      ])
    const foreign = writes.flatMap(({ source, index, table }) => {
      const owner = models.find((model) => model.table === table)?.owner
      return owner === undefined || owner === source.path ? [] : [`${lineOf(source, index)} ${table} (owner: ${owner})`]
    })
    hold(foreign, 'Call the owner’s store, or name this file as the table’s one owner in prisma/schema.prisma.', {
      'jobs/kit/stage.ts': 'stages in the job’s transaction; jobs/ cannot import the outbox, which owns the rows after',
    })
    const idle = models.filter(
      ({ table }) =>
        !writes.some((write) => write.table === table) && !new RegExp(`INSERT INTO "?${table}"?`).test(migrations),
    )
    hold(
      idle.map(({ model }) => model),
      'Nobody writes this table: delete it.',
    )
  })

  const isBusiness = ({ path }: Source): boolean => /^(jobs|apps)\//.test(path) && !path.startsWith('apps/sandbox/')
  const sql = sources
    .filter(isBusiness)
    .flatMap((source) =>
      source.literals
        .filter(({ text }) => /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b/.test(text))
        .map((literal) => ({ source, ...literal })),
    )
  const inSql = (pattern: RegExp, bad: (match: RegExpExecArray) => boolean = () => true): string[] =>
    sql.flatMap(({ source, index, text }) =>
      [...text.matchAll(pattern)]
        .filter(bad)
        .map(
          (match) => `${lineOf(source, index + match.index)} ${/\S*$/.exec(text.slice(0, match.index))![0]}${match[0]}`,
        ),
    )

  it('is asked no time of day and no time zone', () => {
    const OPERATIONAL = 'when a row is swept or was finished: operational, no business date hangs on it'
    const clockOrZone = anyOf(
      'gi',
      /\bnow\(\)/,
      /\b(?:current|local)_?(?:date|time|timestamp)\b/,
      /\btimeofday\(/,
      /\b(?:clock|statement|transaction)_timestamp\(\)/,
      /\bat\s+time\s+zone\b/,
      /\btimezone\(/,
    )
    hold(inSql(clockOrZone), 'Hand SQL the instants and days that jobs/rules/period.ts computed.', {
      'apps/adapters/outbox.ts': OPERATIONAL,
      'jobs/kit/stage.ts': OPERATIONAL,
      'apps/adapters/schedules.ts': 'how long a lease holds: operational, no business date hangs on it',
    })
  })

  it('casts no instant to a date: only a parameter, or an expression of dates', () => {
    const instants = [...new Set(models.flatMap((model) => model.instants))].join('|')
    const holdsInstant = new RegExp(`\\b(?:${instants})\\b|timestamptz|\\bnow\\(`)
    /** What stands before a cast: a balanced pair of parentheses, else a name. */
    const operand = (before: string): string => {
      if (!before.endsWith(')')) return /[\w."]*$/.exec(before)![0]
      let [at, depth] = [before.length, 0]
      do depth += { ')': 1, '(': -1 }[before[(at -= 1)]!] ?? 0
      while (depth > 0 && at > 0)
      return before.slice(at)
    }
    hold(
      inSql(/::(date|timestamp|time)\b/g, ({ index, input, 1: type }) => {
        const before = input.slice(0, index)
        if (/\$\{\s*\}$/.test(before)) return false
        const isName = !before.endsWith(')') && !before.endsWith('::date')
        return holdsInstant.test(operand(before)) || (type === 'date' && isName)
      }),
      'A column is a date already, or an instant, whose day only jobs/rules/period.ts knows.',
    )
    hold(
      inSql(new RegExp(`\\b(?:date_trunc|date_part|to_char|extract|date)\\s*\\([^()]*\\b(?:${instants})\\b`, 'gi')),
      'The day of an instant is for jobs/rules/period.ts to say.',
    )
  })

  it('is given no statement put together from text, and is opened in one place', () => {
    hold(occurrences(product, /\$(?:query|execute)RawUnsafe|\bPrisma\.raw\(|\$extends\b/g), 'Use tagged templates.')
    hold(occurrences(product, /\bnew PrismaClient\b|\$transaction\b/g), 'Work inside withAccount or acrossAccounts.', {
      'apps/adapters/database.ts': 'the one place that opens transactions and says whose data they see',
    })
  })
})

describe('the house rules', () => {
  it('only the clock adapter reads the wall clock', () => {
    const wallClock = /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(\)|\bTemporal\.Now\b/g
    hold(occurrences(product, wallClock), 'Ask the clock port.', {
      'apps/adapters/clock.ts': 'the clock',
      'apps/sandbox/stripe/': 'another company, with a clock of its own; it may not import ours',
      'prisma/migrate.ts': 'names a new migration by the developer’s clock',
    })
  })

  it('only the configuration reads the environment', () => {
    const readers = product.filter(({ path }) => !/^(apps\/(config|release)\.ts|prisma\/.*)$|\.mjs$/.test(path))
    hold(occurrences(readers, /\bprocess\.env\b|\bimport\.meta\.env\b/g), 'Add the variable to apps/config.ts.')
  })

  it('no float touches money', () => {
    hold(occurrences(within('jobs/', 'apps/'), /\bparseFloat\b|\.toFixed\(/g), 'Use jobs/rules/money.ts.')
    const floats = /\bNumber\(|\bparseInt\b|\bMath\.\w+|\b\d+\.\d+\b/g
    hold(occurrences(within('jobs/rules/'), floats), 'Use bigint and Rational.')
  })

  const lines = ({ text }: Source): string[] => text.replace(/\n$/, '').split('\n')

  // Tests are tables of cases more than they are code: a little more of them stays readable.
  it('a file has at most 300 lines, a test 350', () => {
    const limit = (source: (typeof sources)[number]): number => (source.path.startsWith('test/') ? 350 : 300)
    const long = sources.filter((source) => lines(source).length > limit(source))
    hold(
      long.map((source) => `${source.path}: ${lines(source).length}`),
      'Split it by what it is about.',
      { 'test/architecture.test.ts': 'all the rules on one page' },
    )
  })

  it('a function has at most 50 lines', () => {
    hold(product.flatMap(longFunctions), 'Split it where its steps have names.')
  })

  it('a line has at most 120 columns', () => {
    hold(
      sources.flatMap((source) =>
        lines(source).flatMap((line, at) =>
          [...line].length > 120 ? [`${source.path}:${at + 1} ${[...line].length}`] : [],
        ),
      ),
      'Break the line.',
    )
  })

  /** Functions of more than 50 lines, told by their indentation: from the line that opens one to the `}` below it. */
  function longFunctions(source: Source): string[] {
    const lines = source.code.split('\n')
    const OPENS = anyOf(
      '',
      /\bfunction\b/,
      /=>\s*\(?\{\s*$/,
      /^\s*(?!(?:if|for|while|switch|catch)\b)(?:(?:async|static|get|set) )*[#\w]+\([^=]*\{\s*$/,
    )
    return lines.flatMap((line, at) => {
      if (!OPENS.test(line)) return []
      const indent = line.length - line.trimStart().length
      const length = lines.slice(at + 1).findIndex((next) => next.startsWith(`${' '.repeat(indent)}}`)) + 2
      return length > 50 ? [`${source.path}:${at + 1} ${length} lines`] : []
    })
  }

  it('nothing is left for later', () => {
    const marks = new RegExp(`\\b(?:${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`, 'g')
    const texts = [...sources, lex('prisma/schema.prisma', read('prisma/schema.prisma'))]
    const left = texts.flatMap((one) => [...one.text.matchAll(marks)].map(({ index }) => lineOf(one, index)))
    hold(left, 'Do it or drop it.')
  })

  it('no test is left out or run alone, and no module is mocked', () => {
    const tests = within('test/')
    hold(occurrences(tests, /\b(?:it|test|describe)(?:\.\w+)*\.(?:only|skip|todo|fails)\b/g), 'Every test runs.')
    hold(occurrences(tests, /\bvi\.(?:mock|doMock|hoisted)\(/g), 'Write a fake that implements the port.')
    const files = tests.filter(({ path }) => path.endsWith('.test.ts'))
    hold(
      badImports(files, ({ to }) => to !== 'node:timers/promises'),
      'No test sleeps: use waitUntil.',
    )
  })

  it('every dependency is pinned to one version', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>
    const pinned = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'].flatMap((kind) =>
      Object.entries(manifest[kind] ?? {}).map(([name, version]) => `${kind} ${name} ${version}`),
    )
    expect(pinned.length).toBeGreaterThan(20)
    hold(
      pinned.filter((one) => !/ \d+\.\d+\.\d+(-[\w.-]+)?$/.test(one)),
      'Pin the exact version, without ^ or ~.',
    )
  })

  it('the README explains every process of the Procfile', () => {
    const processes = [...read('Procfile').matchAll(/^(\w+): (.+)$/gm)].map(([, name]) => name!)
    expect(processes).toContain('web')
    const readme = existsSync(`${ROOT}README.md`) ? read('README.md') : ''
    hold(
      processes.filter((name) => !new RegExp(`[\`*]${name}(?::[^\`*]*)?[\`*]`).test(readme)),
      'Explain it in README.md, its name in backquotes.',
    )
  })
})
