import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished } from 'vitest'

/** A server that nothing may reach. */
export async function canary() {
  const hits = new Set<string>()
  let connections = 0
  const server = createServer((request, response) => {
    hits.add(request.url!.slice(1).split('?')[0]!)
    response.setHeader('access-control-allow-origin', '*').end()
  })
  server.on('connection', () => {
    connections += 1
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const silent = async () => {
    // What set out before this request of ours has arrived by the time it is answered.
    const before = () => [...hits].filter((hit) => hit !== 'fence')
    await fetch(`${at}/fence`)
    expect(before()).toEqual([])
    expect(connections).toBe(1)
  }
  return { at, hits, silent }
}

/** Markup that makes a browser fetch something, each in its own way. */
export function vectors(at: string): string[] {
  return [
    `<img src="${at}/img">`,
    `<link rel="stylesheet" href="${at}/stylesheet">`,
    `<style>@import url("${at}/import");</style>`,
    `<div style="background: url(${at}/background)">x</div>`,
    `<iframe src="${at}/iframe"></iframe>`,
    `<object data="${at}/object"></object>`,
    `<embed src="${at}/embed">`,
    `<svg><image href="${at}/svg-image" width="9" height="9"/></svg>`,
    `<svg><use href="${at}/svg-use#a"/></svg>`,
    `<video poster="${at}/poster"></video>`,
    `<audio src="${at}/audio" preload="auto"></audio>`,
    `<script>fetch("${at}/fetch")</script>`,
    `<script src="${at}/script"></script>`,
    `<link rel="prefetch" href="${at}/prefetch">`,
    `<link rel="preconnect" href="${at}"><link rel="dns-prefetch" href="${at}">`,
    `<form id="f" action="${at}/form"></form><script>f.submit()</script>`,
    `<img srcset="${at}/srcset 1x">`,
    `<style>@font-face { font-family: spy; src: url(${at}/font) }</style>` + '<p style="font-family: spy">x</p>',
    `<base href="${at}/base/"><img src="relative">`,
    `<link rel="preload" as="image" href="${at}/preload">`,
    `<link rel="modulepreload" href="${at}/modulepreload">`,
    `<img src="data:," onerror="new Image().src = '${at}/onerror'">`,
    `<video><source src="${at}/source"></video>`,
    `<picture><source srcset="${at}/picture"><img></picture>`,
    `<input type="image" src="${at}/input">`,
    `<body background="${at}/body">`,
    `<meta http-equiv="refresh" content="0;url=${at}/refresh">`,
  ]
}
