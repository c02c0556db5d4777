import type { StrictS3 } from 'strict-s3'
import type { MediaTools } from '../../../src/media/processes/tools.ts'
import type { Manifest } from './manifest.ts'
import type { Site, SiteOptions, SiteSetup } from './site.ts'

/** What `prepare` tells the process that is killed. */
export type Given = Record<string, string>

/** In the process that is killed. */
export type Running = { setup: SiteSetup; given: Given; manifest: Manifest; mediaTools: MediaTools }

/** In the process of the matrix, before and after. */
export type Around = {
  site: Site
  bucket: StrictS3
  manifest: Manifest
  mediaTools: MediaTools
  /** The URL of another database, without a table. */
  emptyDatabase(): Promise<string>
}

/** One operation of the product: what was there before, and what is cut. */
export type Scenario = {
  name: string
  /** Whose process it is in the product. */
  role: 'server' | 'worker' | 'command'
  options?: SiteOptions
  prepare?(around: Around): Promise<Given>
  /** Cut anywhere, also while the installation is opened. */
  runAlone?(running: Running): Promise<void>
  /** Cut after the installation was opened. */
  run?(site: Site, running: Running): Promise<void>
  /** What a person calls again who finds it cut, before anything runs. Returns which installation counts. */
  takeUp?(running: Omit<Running, 'manifest'>): Promise<SiteSetup>
  /** What a client does again that got no answer, when all that the product does by itself is done. */
  again?(around: Around, given: Given): Promise<void>
  /** The file is lost before, and nothing but `again` can heal it: only then everything is checked. */
  isHealedByClient?: boolean
  /** Beyond what is checked of every case (`check.ts`). */
  check?(around: Around, given: Given): Promise<void>
}
