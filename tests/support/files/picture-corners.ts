import assert from 'node:assert/strict'
import sharp from 'sharp'

export type Corner = 'red' | 'green' | 'blue' | 'yellow'

const COLOURS: Record<Corner, [number, number, number]> = {
  red: [255, 0, 0],
  green: [0, 255, 0],
  blue: [0, 0, 255],
  yellow: [255, 255, 0],
}

/** FFmpeg filters that paint the quarters of a frame: red and green above, blue and yellow below. */
export const CORNERS_FILTER = [
  'drawbox=x=0:y=0:w=iw/2:h=ih/2:color=0xff0000:t=fill',
  'drawbox=x=iw/2:y=0:w=iw/2:h=ih/2:color=0x00ff00:t=fill',
  'drawbox=x=0:y=ih/2:w=iw/2:h=ih/2:color=0x0000ff:t=fill',
  'drawbox=x=iw/2:y=ih/2:w=iw/2:h=ih/2:color=0xffff00:t=fill',
].join(',')

/** That the picture shows these colours at the top left, top right, bottom left and bottom right. */
export async function assertCorners(path: string, corners: Corner[], what: string): Promise<void> {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const seen = [
    [0.2, 0.2],
    [0.8, 0.2],
    [0.2, 0.8],
    [0.8, 0.8],
  ].map(([x, y]) => {
    const at = (Math.floor(y! * info.height) * info.width + Math.floor(x! * info.width)) * info.channels
    return nearest([data[at]!, data[at + 1]!, data[at + 2]!])
  })
  assert.deepEqual(seen, corners, what)
}

function nearest(colour: [number, number, number]): Corner {
  const far = (corner: Corner) =>
    COLOURS[corner].reduce((sum, value, at) => sum + (value - colour[at]!) ** 2, 0)
  return (Object.keys(COLOURS) as Corner[]).reduce((best, corner) =>
    far(corner) < far(best) ? corner : best,
  )
}
