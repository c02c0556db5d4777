import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keysForRestart } from '../../src/config/changed-keys.ts'
import { loadConfig } from '../../src/config.ts'

const config = () => loadConfig({ GLASSINE_DATA: '/nowhere' })

test('what a reload does not change is named as in the file, without its value', () => {
  const [before, after] = [config(), config()]
  assert.deepEqual(keysForRestart(before, after), [])
  after.port = 1
  after.notifications.publicUrl = 'https://photos.example.org'
  after.publicUrl = 'https://photos.example.org'
  after.backups.keep.daily = 3
  after.storage.upload.strategy = 's3-first'
  after.storage.rollout = { strategy: 's3-first', percent: 1, users: ['anna@example.org'] }
  after.storage.prices = {}
  after.database.url = 'postgres://a:secret@b/c'
  assert.deepEqual(keysForRestart(before, after).sort(), [
    'backups.keep.daily',
    'database.url',
    'server.port',
    'server.publicUrl',
    'storage.pricesFile',
    'storage.rollout',
    'storage.upload.strategy',
  ])
})

test('locations, and what belongs there, need no restart', () => {
  const [before, after] = [config(), config()]
  after.storage.default = ['nas']
  after.storage.folders = { nas: { path: '/mnt/nas', onAnotherMachine: true, readOnly: false } }
  after.storage.locations.originals = ['nas']
  after.storage.minCopies.originals = 1
  after.storage.scrub.diskBytes = 1
  assert.deepEqual(keysForRestart(before, after), [])
})
