import { afterEach, expect, test } from 'bun:test'
import { Election } from '../../src/console/page/election.ts'
import { until } from '../support/until.ts'

// The windows of one browser. Here they share a process and its broadcast channels.

const TIMES = { answer: 20, heartbeat: 50, silence: 250 }

class Window {
  isLeading = false
  heard: string[] = []
  channel: BroadcastChannel | null = null
  readonly election: Election<string>

  constructor(name: string) {
    const duties = {
      lead: () => {
        this.isLeading = true
      },
      resign: () => {
        this.isLeading = false
      },
      hear: (state: string) => {
        this.heard.push(state)
      },
    }
    this.election = new Election<string>(name, duties, 'nothing', TIMES)
    windows.push(this)
  }

  join(): void {
    const { BroadcastChannel } = globalThis
    const keep = (channel: BroadcastChannel) => {
      this.channel = channel
    }
    globalThis.BroadcastChannel = class extends BroadcastChannel {
      constructor(channel: string) {
        super(channel)
        keep(this)
      }
    }
    this.election.join()
    globalThis.BroadcastChannel = BroadcastChannel
  }
}

let windows: Window[] = []
let names = 0
afterEach(() => {
  for (const { election } of windows) election.leave()
  windows = []
})

function open(count: number): Window[] {
  const name = `election-${names++}`
  const opened = Array.from({ length: count }, () => new Window(name))
  for (const window of opened) window.join()
  return opened
}

/** Returns the leader as soon as all other windows receive its state. */
const leaderOf = (among: Window[]) =>
  until(() => {
    const leading = among.filter(({ isLeading }) => isLeading)
    const others = among.filter(({ isLeading }) => !isLeading)
    const state = `by ${among.indexOf(leading[0]!)}`
    leading[0]?.election.publish(state)
    return (
      leading.length === 1 && others.every(({ heard }) => heard.at(-1) === state) && leading[0]!
    )
  })

test('exactly one of several windows that open at once leads, and the others hear it', async () => {
  await leaderOf(open(7))
})

test('a single window leads', async () => {
  await leaderOf(open(1))
})

test('a window that joins later hears the latest state at once', async () => {
  const [first] = open(1)
  await leaderOf([first!])
  first!.election.publish('news')
  const later = new Window(`election-${names - 1}`)
  later.join()
  await until(() => later.heard.at(-1) === 'news')
  expect([first!.isLeading, later.isLeading]).toEqual([true, false])
})

test('when the leader leaves, another window takes over, until none is left', async () => {
  let among = open(4)
  while (among.length > 0) {
    const leader = await leaderOf(among)
    leader.election.leave()
    expect(leader.isLeading).toBe(false)
    among = among.filter((window) => window !== leader)
  }
})

test('when the leader falls silent, another window takes over', async () => {
  const among = open(3)
  const leader = await leaderOf(among)
  // Like a crashed window, it posts nothing more, not even that it leaves.
  leader.channel!.postMessage = () => {}
  const next = await leaderOf(among.filter((window) => window !== leader))
  expect(next.isLeading).toBe(true)
  // It was only frozen: one of the two leaders resigns.
  Reflect.deleteProperty(leader.channel!, 'postMessage')
  await leaderOf(among)
})

test('a window that left hears nothing until it joins again', async () => {
  const [one, other] = open(2) as [Window, Window]
  const leader = await leaderOf([one, other])
  const follower = leader === one ? other : one
  follower.election.leave()
  follower.heard = []
  leader.election.publish('missed')
  follower.join()
  await until(() => follower.heard.includes('missed'))
  expect(follower.isLeading).toBe(false)
})
