// The board's own pages: signing in, signing out, and what went wrong. Plain HTML, no script.

const escape = (text: string): string => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)

/** Colors have a contrast of 4.5 or more on their grounds, by day and by night. */
const STYLE = `
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --ink: #1c2430; --quiet: #55606e; --line: #8a94a3;
  --deed: #1f5fbf; --on-deed: #fff; --bad: #b3261e; --bad-ground: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181e; --card: #1e242c; --ink: #e8ebef; --quiet: #a9b3bf;
  --line: #6b7683; --deed: #8ab4f8; --on-deed: #10151b; --bad: #ffb4ab; --bad-ground: #3b1f1d; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; overflow-wrap: anywhere; }
h1 { margin: 0 0 .5rem; font-size: 1.375rem; line-height: 1.25; }
p { margin: 0 0 1.25rem; color: var(--quiet); }
.error { margin: 0 0 1.25rem; padding: .625rem .75rem; color: var(--bad); background: var(--bad-ground);
  border-left: .25rem solid var(--bad); border-radius: .25rem; }
label { display: block; margin-bottom: .375rem; font-weight: 600; }
input { width: 100%; min-height: 2.75rem; padding: .5rem .75rem; font: inherit; color: inherit;
  background: var(--ground); border: 1px solid var(--line); border-radius: .375rem; }
input[aria-invalid=true] { border-color: var(--bad); }
button { width: 100%; min-height: 2.75rem; margin-top: 1.25rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-deed); background: var(--deed); border: 0; border-radius: .375rem; }
form + p { margin-top: 1.25rem; }
a { color: var(--deed); }
:focus-visible { outline: 3px solid var(--deed); outline-offset: 2px; }
main > :last-child { margin-bottom: 0; }`

const page = (title: string, nonce: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)} · Perdiem board</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<link rel="icon" href="data:,"><style nonce="${nonce}">${STYLE}</style></head><body><main>
${body}
</main></body></html>`

/** @param error what was wrong with the last try; null before the first */
export const signInPage = (nonce: string, error: string | null): string => {
  const told = error === null ? '' : `<div class="error" id="error" role="alert">${escape(error)}</div>`
  const marks = error === null ? '' : ' aria-invalid="true" aria-describedby="error"'
  return page(
    error === null ? 'Sign in' : 'Not signed in',
    nonce,
    `<h1>Perdiem board</h1>
<p>Jobs and queues, for operators.</p>
${told}<form method="post" action="/sign-in">
<label for="key">Operator key</label>
<input id="key" name="key" type="password" autocomplete="current-password" spellcheck="false" maxlength="300" required
 autofocus${marks}>
<button>Sign in</button>
</form>`,
  )
}

export const signOutPage = (nonce: string, role: string): string =>
  page(
    'Sign out',
    nonce,
    `<h1>Sign out</h1>
<p>You are signed in as ${escape(role)}.</p>
<form method="post" action="/sign-out"><button autofocus>Sign out</button></form>
<p><a href="/">Back to the board</a></p>`,
  )

export const troublePage = (nonce: string, title: string, words: string): string =>
  page(
    title,
    nonce,
    `<h1>${escape(title)}</h1>
<div class="error" role="alert">${escape(words)}</div>
<p><a href="/">To the board</a></p>`,
  )
