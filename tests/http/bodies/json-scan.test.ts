import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJsonScan } from '../../../src/http/bodies/json-scan.ts'
import { MAX_DEPTH } from '../../../src/http/bodies/limits.ts'

const limits = { maxValues: 10, maxKeys: 5 }

/** Byte by byte, as the network may cut them. */
function scan(text: string): void {
  const { add } = createJsonScan(limits)
  for (const byte of Buffer.from(text)) add(Uint8Array.of(byte))
}

test('B1: what is too deep, too long or has too many keys is refused, by its first bytes', () => {
  scan(`${'['.repeat(MAX_DEPTH - 12)}${'[]'.repeat(2)}`)
  assert.throws(() => scan('[{"a":'.repeat(20)), { code: 'invalid', message: /keys|deeper|values/ })
  const deep = createJsonScan({ maxValues: 1_000, maxKeys: 0 })
  deep.add(Buffer.from('['.repeat(MAX_DEPTH)))
  assert.throws(() => deep.add(Buffer.from('[')), { code: 'invalid', message: /deeper than 20 levels/ })
  scan('[1,2,3,4,5,6,7,8,9,10]')
  assert.throws(() => scan('[1,2,3,4,5,6,7,8,9,10,11'), { code: 'invalid', message: /10 values/ })
  scan('{"a":1,"b":2,"c":3,"d":4,"e":5}')
  assert.throws(() => scan('{"a":1,"b":2,"c":3,"d":4,"e":5,"f":'), { code: 'invalid', message: /5 keys/ })
})

test('what stands in a text is not counted, whatever is escaped in it', () => {
  scan(JSON.stringify(['[[[[[[[[[[[[,,,,,,,,,,,,::::::', '"[{,:\\"[[[[[[[[[[[[[[[[[', '\\']))
  scan(String.raw`["\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]`)
  assert.throws(() => scan(String.raw`["\\",[,,,,,,,,,,,`), { code: 'invalid' })
})
