/**
 * MD5 (RFC 1321). No proof of anything between enemies, but what every S3 service compares a put with while it receives
 * it (Content-MD5); no browser computes it.
 */
import { type BlockHash, createBlockHash } from './block-hash.ts'

const SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]
const K = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0)

export function startMd5(): BlockHash {
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476])
  const words = new Int32Array(16)
  return createBlockHash('little-endian', state, (bytes, start) => takeBlock(state, words, bytes, start))
}

function takeBlock(state: Int32Array, m: Int32Array, bytes: Uint8Array, start: number): void {
  for (let i = 0, at = start; i < 16; i++, at += 4) {
    m[i] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  }
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  for (let i = 0; i < 64; i++) {
    const round = i >> 4
    let mixed = 0
    let word = i
    if (round === 0) mixed = (b & c) | (~b & d)
    else if (round === 1) {
      mixed = (d & b) | (~d & c)
      word = (5 * i + 1) & 15
    } else if (round === 2) {
      mixed = b ^ c ^ d
      word = (3 * i + 5) & 15
    } else {
      mixed = c ^ (b | ~d)
      word = (7 * i) & 15
    }
    const shift = SHIFTS[(round << 2) | (i & 3)]!
    const sum = (a + mixed + K[i]! + m[word]!) | 0
    a = d
    d = c
    c = b
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0
  }
  state[0]! += a
  state[1]! += b
  state[2]! += c
  state[3]! += d
}
