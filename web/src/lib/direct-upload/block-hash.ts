/** What SHA-256 and MD5 have in common: blocks of 64 bytes, and a tail of 0x80, zeros and the length in bits. */
export type BlockHash = { update(chunk: Uint8Array): void; digestHex(): string }

/** `takeBlock` mixes the 64 bytes at `start` into `state`. A digest may be asked for once. */
export function createBlockHash(
  order: 'big-endian' | 'little-endian',
  state: Int32Array,
  takeBlock: (bytes: Uint8Array, start: number) => void,
): BlockHash {
  const isLittle = order === 'little-endian'
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
        takeBlock(pending, 0)
        pendingBytes = 0
      }
      for (; offset + 64 <= chunk.length; offset += 64) takeBlock(chunk, offset)
      pending.set(chunk.subarray(offset), 0)
      pendingBytes = chunk.length - offset
    },
    digestHex() {
      const tail = new Uint8Array(pendingBytes < 56 ? 64 : 128)
      tail.set(pending.subarray(0, pendingBytes))
      tail[pendingBytes] = 0x80
      const view = new DataView(tail.buffer)
      const high = Math.floor(totalBytes / 0x20000000)
      const low = (totalBytes << 3) >>> 0
      view.setUint32(tail.length - 8, isLittle ? low : high, isLittle)
      view.setUint32(tail.length - 4, isLittle ? high : low, isLittle)
      for (let offset = 0; offset < tail.length; offset += 64) takeBlock(tail, offset)
      const digest = new DataView(new ArrayBuffer(state.length * 4))
      for (const [index, word] of state.entries()) digest.setInt32(index * 4, word, isLittle)
      return toHex(new Uint8Array(digest.buffer))
    },
  }
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
