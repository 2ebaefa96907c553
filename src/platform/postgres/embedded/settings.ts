const MiB = 1024 * 1024

/**
 * Returns the server's settings as the text of a configuration file. Every start rewrites it, so an
 * upgrade takes effect. Settings from ALTER SYSTEM come later and override it.
 */
export function settingsFile(machine: { memoryBytes: number; socketDirectory: string }): string {
  const lines = settings(machine).map(([name, value]) => `${name} = ${quote(value)}`)
  return [
    '# Written by Tallybook at every start: changes here are lost. Use ALTER SYSTEM instead.',
    "include 'postgresql.conf' # what initdb detected on this machine; overridden below",
    ...lines,
    '',
  ].join('\n')
}

function settings(machine: { memoryBytes: number; socketDirectory: string }): [string, string][] {
  return [
    // Only users who can enter the socket's directory may connect.
    ['listen_addresses', ''],
    // A list: a path may contain a comma only in double quotes.
    ['unix_socket_directories', `"${machine.socketDirectory.replaceAll('"', '""')}"`],
    ['unix_socket_permissions', '0700'],
    // Connections: at most 33 of the service, those of rebuilds and verification, and a few for
    // people. Each costs about 5 MB when busy.
    ['max_connections', '100'],

    // Durability: a 2xx means on disk. These are the defaults, set because the promise needs them.
    ['fsync', 'on'],
    ['full_page_writes', 'on'],
    ['synchronous_commit', 'on'],

    // Memory: an eighth of the machine, 32 to 256 MB. The hot counters and the log's tail fit, and
    // the rest is left to the file cache.
    ['shared_buffers', megabytes(clamp(machine.memoryBytes / 8, 32 * MiB, 256 * MiB))],
    // Half the machine. This is only a hint to the planner; nothing is reserved.
    ['effective_cache_size', megabytes(clamp(machine.memoryBytes / 2, 64 * MiB, 8192 * MiB))],
    // The log's pages are written once. The background writer must write them out as fast as they
    // come (by default at most 4 MB/s), or each append first has to write out the page it reuses.
    ['bgwriter_delay', '20ms'],
    ['bgwriter_lru_maxpages', '1000'],
    ['bgwriter_lru_multiplier', '4'],
    // Per sort or hash; the largest are those of hourly reads.
    ['work_mem', '16MB'],
    // For vacuum and index builds, one at a time.
    ['maintenance_work_mem', '64MB'],

    // Write-ahead log: 16 MB hold the largest group commit, so it is written only at its end.
    ['wal_buffers', '16MB'],
    // There are no replicas of this server, so less is logged and no sender is needed.
    ['wal_level', 'minimal'],
    ['max_wal_senders', '0'],
    ['max_replication_slots', '0'],
    ['max_logical_replication_workers', '0'],
    // After a checkpoint the next change of each page logs the whole page. So checkpoints are rare
    // (15 minutes, or 4 GB), at the price of a longer recovery, and spread over nine tenths of the
    // time.
    ['checkpoint_timeout', '15min'],
    ['checkpoint_completion_target', '0.9'],
    ['max_wal_size', '4GB'],
    // Segments retained for reuse: creating one (16 MB) costs an fsync in the middle of a commit.
    ['min_wal_size', '256MB'],
    // These binaries could only compress whole pages with pglz, at 25 MB/s: copying an 8 MB
    // database took 420 ms with it and 70 ms without.
    ['wal_compression', 'off'],

    // Planner: disks are solid-state, and compiling a query costs more than these short ones take.
    ['random_page_cost', '1.1'],
    ['jit', 'off'],
    // The service shares the cores. Without parallel queries, /dev/shm (64 MB in a container)
    // isn't needed either.
    ['max_parallel_workers_per_gather', '0'],
    ['max_parallel_maintenance_workers', '0'],

    // Counters are small tables whose rows all change each second: check every 10 s (default
    // 1 min), and vacuum after a twentieth of a table has changed (default a fifth).
    ['autovacuum_naptime', '10s'],
    ['autovacuum_vacuum_scale_factor', '0.05'],
    ['autovacuum_analyze_scale_factor', '0.05'],

    // Log: standard error, which the service writes to a file of limited size. Statements are not
    // logged, because they contain the data of clients.
    ['log_destination', 'stderr'],
    ['logging_collector', 'off'],
    ['log_line_prefix', '%m [%p] '],
    ['log_min_error_statement', 'panic'],
    ['log_timezone', 'UTC'],

    ['timezone', 'UTC'],
    ['lc_messages', 'C'],
    // Shown in `ps` for each server process.
    ['cluster_name', 'tallybook'],
  ]
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high)
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / MiB)}MB`
}

function quote(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
