/**
 * CRC32C and CRC64NVME in plain JavaScript (zlib has the CRC32), eight bytes a step ("slicing by 8"), and the
 * joining of part checksums into that of the whole object (zlib's crc32_combine, for any width).
 */
const crc32cPolynomial = 0x82f63b78
const crc32cTables = Array.from({ length: 8 }, () => new Int32Array(256))
for (let byte = 0; byte < 256; byte++) {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ crc32cPolynomial : value >>> 1
  crc32cTables[0]![byte] = value
}
for (let slice = 1; slice < 8; slice++) {
  for (let byte = 0; byte < 256; byte++) {
    const before = crc32cTables[slice - 1]![byte]!
    crc32cTables[slice]![byte] = (before >>> 8) ^ crc32cTables[0]![before & 0xff]!
  }
}

/** CRC-32C (Castagnoli) of `data`, going on from `value` (0 to begin with). */
export function crc32c(data: Uint8Array, value = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = crc32cTables as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ]
  let crc = ~value
  let i = 0
  const end = data.length - (data.length % 8)
  while (i < end) {
    crc ^= data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24)
    crc =
      t7[crc & 0xff]! ^
      t6[(crc >>> 8) & 0xff]! ^
      t5[(crc >>> 16) & 0xff]! ^
      t4[crc >>> 24]! ^
      t3[data[i + 4]!]! ^
      t2[data[i + 5]!]! ^
      t1[data[i + 6]!]! ^
      t0[data[i + 7]!]!
    i += 8
  }
  while (i < data.length) crc = (crc >>> 8) ^ t0[(crc ^ data[i++]!) & 0xff]!
  return ~crc >>> 0
}

// 0x9a6c9329ac4bc9b5 is the NVMe polynomial 0xad93d23594c93659, bits reversed; kept as two halves, since a
// BigInt costs 50 times as much.
const crc64High = 0x9a6c9329
const crc64Low = 0xac4bc9b5
const highTables = Array.from({ length: 8 }, () => new Int32Array(256))
const lowTables = Array.from({ length: 8 }, () => new Int32Array(256))
for (let byte = 0; byte < 256; byte++) {
  let high = 0
  let low = byte
  for (let bit = 0; bit < 8; bit++) {
    const odd = low & 1
    low = (low >>> 1) | (high << 31)
    high = high >>> 1
    if (odd) {
      high ^= crc64High
      low ^= crc64Low
    }
  }
  highTables[0]![byte] = high
  lowTables[0]![byte] = low
}
for (let slice = 1; slice < 8; slice++) {
  for (let byte = 0; byte < 256; byte++) {
    const high = highTables[slice - 1]![byte]!
    const low = lowTables[slice - 1]![byte]!
    highTables[slice]![byte] = (high >>> 8) ^ highTables[0]![low & 0xff]!
    lowTables[slice]![byte] = ((low >>> 8) | (high << 24)) ^ lowTables[0]![low & 0xff]!
  }
}

/** State of a CRC64NVME under way: both halves, already inverted for going on. */
export type Crc64 = { high: number; low: number }
export const crc64Start = (): Crc64 => ({ high: -1, low: -1 })

/** Takes `data` into the state. */
export function crc64Update(state: Crc64, data: Uint8Array): void {
  type Tables = [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ]
  const [h0, h1, h2, h3, h4, h5, h6, h7] = highTables as Tables
  const [l0, l1, l2, l3, l4, l5, l6, l7] = lowTables as Tables
  let { high, low } = state
  let i = 0
  const end = data.length - (data.length % 8)
  while (i < end) {
    low ^= data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24)
    high ^= data[i + 4]! | (data[i + 5]! << 8) | (data[i + 6]! << 16) | (data[i + 7]! << 24)
    const a = low & 0xff
    const b = (low >>> 8) & 0xff
    const c = (low >>> 16) & 0xff
    const d = low >>> 24
    const e = high & 0xff
    const f = (high >>> 8) & 0xff
    const g = (high >>> 16) & 0xff
    const h = high >>> 24
    high = h7[a]! ^ h6[b]! ^ h5[c]! ^ h4[d]! ^ h3[e]! ^ h2[f]! ^ h1[g]! ^ h0[h]!
    low = l7[a]! ^ l6[b]! ^ l5[c]! ^ l4[d]! ^ l3[e]! ^ l2[f]! ^ l1[g]! ^ l0[h]!
    i += 8
  }
  while (i < data.length) {
    const index = (low ^ data[i++]!) & 0xff
    low = ((low >>> 8) | (high << 24)) ^ l0[index]!
    high = (high >>> 8) ^ h0[index]!
  }
  state.high = high
  state.low = low
}

/** The finished checksum, 8 bytes, most significant first. */
export function crc64Finish(state: Crc64): Buffer {
  const out = Buffer.alloc(8)
  out.writeUInt32BE(~state.high >>> 0, 0)
  out.writeUInt32BE(~state.low >>> 0, 4)
  return out
}

const polynomials = {
  32: { CRC32: 0xedb88320n, CRC32C: 0x82f63b78n },
  64: { CRC64NVME: 0x9a6c9329ac4bc9b5n },
}
type Matrix = bigint[]

function times(matrix: Matrix, vector: bigint): bigint {
  let sum = 0n
  for (let row = 0; vector !== 0n; row++, vector >>= 1n) if (vector & 1n) sum ^= matrix[row]!
  return sum
}

/** The operator that appends `length` zero bytes to a message, as a matrix over GF(2). */
function zeroBytes(polynomial: bigint, bits: number, length: number): Matrix {
  let power: Matrix = [polynomial, ...Array.from({ length: bits - 1 }, (_, row) => 1n << BigInt(row))]
  for (let doubling = 0; doubling < 3; doubling++) power = power.map((row) => times(power, row))
  let result: Matrix = Array.from({ length: bits }, (_, row) => 1n << BigInt(row))
  for (let rest = length; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = result.map((row) => times(power, row))
    power = power.map((row) => times(power, row))
  }
  return result
}

/**
 * The CRC of the concatenation of parts, from the parts' own CRCs (most significant byte first) and lengths.
 * Parts of equal length share one matrix, so that 10,000 parts take milliseconds.
 */
export function combineCrcs(
  algorithm: 'CRC32' | 'CRC32C' | 'CRC64NVME',
  parts: { checksum: Buffer; size: number }[],
): Buffer {
  const bits = algorithm === 'CRC64NVME' ? 64 : 32
  const polynomial = algorithm === 'CRC64NVME' ? polynomials[64].CRC64NVME : polynomials[32][algorithm]
  const matrices = new Map<number, Matrix>()
  let crc = 0n
  for (const part of parts) {
    let matrix = matrices.get(part.size)
    if (matrix === undefined) {
      matrix = zeroBytes(polynomial, bits, part.size)
      matrices.set(part.size, matrix)
    }
    crc = times(matrix, crc) ^ BigInt(`0x${part.checksum.toString('hex')}`)
  }
  return Buffer.from(crc.toString(16).padStart(bits / 4, '0'), 'hex')
}
