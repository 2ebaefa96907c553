import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { createGzip, type Gzip } from 'node:zlib'

/** Bytes that are compressed before they are written. */
const CHUNK_BYTES = 256 * 1024

/** One compressed file on its way to the disk. */
export class PartWriter {
  /** Of the file; whole after `close`. */
  bytes = 0
  readonly #sha256 = createHash('sha256')
  readonly #gzip: Gzip = createGzip({ chunkSize: CHUNK_BYTES })
  readonly #written: Promise<void>

  private constructor(private readonly file: FileHandle) {
    // Not a pipeline: that reports the compressor's end and not why the disk refused.
    this.#gzip.on('error', () => {})
    this.#written = this.#write()
    // Looked at in `write` and `close`.
    this.#written.catch(() => {})
  }

  /** Makes the file, which must not be there. */
  static async create(path: string): Promise<PartWriter> {
    return new PartWriter(await open(path, 'wx', 0o600))
  }

  /** Takes text, and waits while there is more than the disk can take. */
  async write(text: string): Promise<void> {
    if (this.#gzip.write(text)) return
    // `once` of node:events would fail with the compressor's end, before the disk's reason comes.
    const drained = new Promise((resolve) => this.#gzip.once('drain', resolve))
    await Promise.race([drained, this.#written])
  }

  /** Waits until all is on disk; gives the file's SHA-256 in hex. */
  async close(): Promise<string> {
    this.#gzip.end()
    await this.#written
    return this.#sha256.digest('hex')
  }

  /** Lets go of the file amid writing. */
  async abandon(): Promise<void> {
    this.#gzip.destroy()
    await this.#written.catch(() => {})
  }

  async #write(): Promise<void> {
    try {
      for await (const chunk of this.#gzip as AsyncIterable<Buffer>) {
        this.#sha256.update(chunk)
        this.bytes += chunk.length
        await writeAll(this.file, chunk)
      }
      await this.file.sync()
    } finally {
      await this.file.close()
    }
  }
}

/** Writes all of it: a disk that is nearly full takes less than it is given. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
  }
}
