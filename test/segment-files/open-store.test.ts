import { expect, test } from 'bun:test'
import { UserError } from '../../src/platform/user-error.ts'
import { openStore } from '../../src/segment-files/open-store.ts'

// The URL of an archive names a directory or a bucket, or is refused without being repeated.

test.each([
  ['file:///mnt/archive', 'file:///mnt/archive'],
  ['file:///mnt/archive/', 'file:///mnt/archive'],
  ['file:///mnt/my%20archive', 'file:///mnt/my archive'],
  ['s3://bucket', 's3://bucket'],
  ['s3://bucket/', 's3://bucket'],
  ['s3://my.bucket-1/logs/a/', 's3://my.bucket-1/logs/a'],
])('%s opens %s', (url, opened) => {
  expect(openStore(url).url).toBe(opened)
})

test.each([
  ...['', 'archive', '/mnt/archive', 'file:///', 'file://host/archive', 'file:///a%2Fb'],
  ...['s3://', 's3://B/a', 's3://id:secret@bucket', 's3://bucket/a?x=1'],
  ...['https://bucket.example.com', 's3://bucket/ä', 's3://ab/', 's3://bucket#a'],
])('%p is refused', (url) => {
  const open = () => openStore(url)
  expect(open).toThrow(UserError)
  expect(open).not.toThrow('secret')
})
