// Preloaded before every entry point. Plain JavaScript, because a Node too old for us cannot even read our .ts files.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Perdiem needs Node 22.18 or newer; this is Node ${process.versions.node}. ` +
      'Run it through npm (npm start, npm run demo): the install brings Node 24 along.',
  )
  process.exit(1)
}
