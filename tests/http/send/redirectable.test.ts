import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placeOf } from '../../../src/http/send/redirectable.ts'

test('whose an address is: the borders of each network, in both versions of IP', () => {
  const places = {
    loopback: ['127.0.0.1', '127.255.255.255', '[::1]', '::ffff:127.0.0.1', 'localhost', 'photos.localhost'],
    private: [
      '0.0.0.0',
      '10.0.0.0',
      '10.255.255.255',
      '100.64.0.0',
      '100.127.255.255',
      '169.254.0.1',
      '172.16.0.0',
      '172.31.255.255',
      '192.168.1.5',
      '::ffff:192.168.1.5',
      '[::ffff:c0a8:105]',
      '::',
      '[fc00::1]',
      'fdff::1',
      'fe80::1',
      'FEBF::1',
    ],
    public: [
      '9.255.255.255',
      '11.0.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '172.15.255.255',
      '172.32.0.0',
      '192.169.0.0',
      '::ffff:8.8.8.8',
      '2001:db8::1',
      'fec0::1',
      'fc::1',
      's3.example.org',
    ],
    unknown: ['minio', 's3.lan', 'bucket.internal', 'nas.home.arpa'],
  }
  for (const [place, hosts] of Object.entries(places))
    for (const host of hosts) assert.equal(placeOf(host), place, host)
})
