import { expect, test } from 'bun:test'
import { mergeMeasures } from '../../src/http/catalog/declared.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'

// Every row of totals has a place for each measure that was ever declared.

test('at most 256 measures are ever declared, those that were retired included', () => {
  const catalog = new Catalog()
  for (let number = 0; number < 255; number++) catalog.measureNumbers.set(`m${number}`, number)
  expect(mergeMeasures(catalog, [{ name: 'last' }])).toEqual([{ name: 'last', number: 255 }])
  expect(mergeMeasures(catalog, [{ name: 'last' }, { name: 'beyond' }])).toMatchObject({
    error: 'too many measures',
  })
  catalog.measureNumbers.set('last', 255)
  expect(mergeMeasures(catalog, [{ name: 'm7' }, { name: 'last' }])).toEqual([
    { name: 'm7', number: 7 },
    { name: 'last', number: 255 },
  ])
})
