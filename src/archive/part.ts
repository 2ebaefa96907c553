import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { createGzip, type Gzip } from 'node:zlib'

/** Bytes of compressed output per write. */
const CHUNK_BYTES = 256 * 1024

/** Writes one compressed file. */
export class PartWriter {
  /** Length of the file, complete after `close`. */
  bytes = 0
  readonly #sha256 = createHash('sha256')
  readonly #gzip: Gzip = createGzip({ chunkSize: CHUNK_BYTES })
  readonly #written: Promise<void>

  private constructor(private readonly file: FileHandle) {
    // Not a pipeline, which would report the end of the compressor instead of the disk's error.
    this.#gzip.on('error', () => {})
    this.#written = this.#write()
    // Awaited in `write` and `close`.
    this.#written.catch(() => {})
  }

  /** Creates the file, which must not exist. */
  static async create(path: string): Promise<PartWriter> {
    return new PartWriter(await open(path, 'wx', 0o600))
  }

  /** Adds text. Waits while the disk can't keep up. */
  async write(text: string): Promise<void> {
    if (this.#gzip.write(text)) return
    // `once` of node:events would reject at the end of the compressor, before the disk's error
    // arrives.
    const drained = new Promise((resolve) => this.#gzip.once('drain', resolve))
    await Promise.race([drained, this.#written])
  }

  /** Waits until everything is on disk. Returns the file's SHA-256 in hex. */
  async close(): Promise<string> {
    this.#gzip.end()
    await this.#written
    return this.#sha256.digest('hex')
  }

  /** Closes the file without completing it. */
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

/** Writes all bytes. A nearly full disk may accept fewer than one call passes to it. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
  }
}
