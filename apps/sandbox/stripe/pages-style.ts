/** How the hosted pages look; plain enough to need nothing but this text. */
export const style = `
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5a6478; --line: #d5dae3;
  --paper: #fff; --back: #f3f5f9; --accent: #2f4fc4; --on-accent: #fff; --good: #14683a;
  --bad: #a11a2b; --bad-back: #fdecee; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #a7b0c2; --line: #3a4356; --paper: #1b2130; --back: #121722;
    --accent: #9db2ff; --on-accent: #10162a; --good: #7fd6a3; --bad: #ffa3ad;
    --bad-back: #3a1c22; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
.banner { margin: 0; padding: .5rem 1rem; background: var(--ink); color: var(--paper);
  font-size: .875rem; text-align: center; }
main { max-width: 34rem; margin: 2rem auto; padding: 2rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
.state { margin: 0 0 1.25rem; font-size: 1.25rem; font-weight: 600; }
.state span { font-size: 1rem; font-weight: 400; color: var(--soft); }
.state.paid { color: var(--good); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 0 0 1.5rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; margin: 0 0 1.5rem; border-collapse: collapse; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .625rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-weight: 400; overflow-wrap: anywhere; }
thead th { color: var(--soft); font-size: .875rem; }
td, thead th:last-child { padding-left: 1rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
tfoot tr th, tfoot tr td { border-bottom: 0; padding-bottom: 0; }
tfoot .total th, tfoot .total td { font-weight: 700; }
small { display: block; color: var(--soft); font-size: .875rem; }
fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
legend { margin: 0 0 .75rem; padding: 0; font-weight: 600; }
.field { margin: 0 0 1rem; min-width: 0; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0 1rem; }
label { display: block; margin: 0 0 .25rem; font-size: .9375rem; }
input:not([type]) { width: 100%; padding: .625rem .75rem; font: inherit; color: inherit;
  background: var(--paper); border: 1px solid #7b869b; border-radius: .5rem; }
input::placeholder { color: var(--soft); opacity: .7; }
.choice { display: flex; gap: .75rem; align-items: flex-start; margin: 0 0 .75rem;
  padding: .75rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; }
.choice input { margin: .3rem 0 0; accent-color: var(--accent); }
button { width: 100%; min-height: 2.75rem; padding: .625rem 1rem; font: inherit; font-weight: 600;
  color: var(--on-accent); background: var(--accent); border: 1px solid var(--accent);
  border-radius: .5rem; cursor: pointer; }
button.quiet { margin-top: .75rem; color: var(--accent); background: transparent; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.problem { padding: .75rem 1rem; color: var(--bad); background: var(--bad-back);
  border-left: 4px solid var(--bad); border-radius: .25rem; }
.or { margin: 1rem 0; color: var(--soft); text-align: center; }
.back { margin: 1rem 0 0; text-align: center; }
@media (max-width: 36rem) { main { margin: 0; padding: 1.25rem; border: 0; border-radius: 0; } }
`
