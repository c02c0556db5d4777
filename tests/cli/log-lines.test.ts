import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { readableLine } from '../../src/log-lines.ts'

const at = new Date(2026, 4, 4, 18, 39, 2).getTime()
const line = (fields: object) => readableLine(JSON.stringify({ level: 30, time: at, ...fields }), false)

test('a line for people: the time, how bad it is, the sentence, and what the sentence leaves out', () => {
  assert.equal(line({ msg: 'the worker runs' }), '18:39:02 info  the worker runs\n')
  assert.equal(
    line({ level: 40, location: 's3', cause: 'gone', files: 3, msg: 'an outage begins (gone)' }),
    '18:39:02 warn  an outage begins (gone) (location=s3, files=3)\n',
  )
  assert.equal(line({ level: 50, found: { a: 1 }, msg: 'x' }), '18:39:02 error x (found={"a":1})\n')
})

test('an error that nobody foresaw has its stack below; a line that is none of ours stays as it is', () => {
  const err = { type: 'Error', message: 'broken', stack: 'Error: broken\n    at here (file.ts:1:2)' }
  assert.equal(
    line({ level: 50, err, msg: 'a request failed' }),
    '18:39:02 error a request failed\n    Error: broken\n        at here (file.ts:1:2)\n',
  )
  assert.equal(readableLine('not JSON\n', false), 'not JSON\n')
})

test('colours only where they are wanted', () => {
  const json = JSON.stringify({ level: 40, time: at, msg: 'careful' })
  assert.equal(readableLine(json, true).includes('\u001b['), true)
  assert.equal(readableLine(json, false).includes('\u001b['), false)
})

test('a program that reads the log gets JSON, and secrets in neither form', () => {
  const write = (isTerminal: boolean) => {
    const script = `import { createLog } from './src/log.ts'
      createLog('info', { isTerminal: ${isTerminal}, hasColours: false }).warn({ password: 'hunter2', location: 's3' }, 'careful')`
    const cwd = new URL('../..', import.meta.url).pathname
    return spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], {
      cwd,
      encoding: 'utf8',
    }).stderr
  }
  const { level, msg, location } = JSON.parse(write(false))
  assert.deepEqual([level, msg, location], [40, 'careful', 's3'])
  assert.match(write(true), /^\d\d:\d\d:\d\d warn {2}careful \(password=\[secret\], location=s3\)\n$/)
  assert.doesNotMatch(write(false) + write(true), /hunter2/)
})
