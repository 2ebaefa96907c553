import { readShipped } from '../shipped/files.ts'
import { UserError } from '../user-error.ts'
import { isNotAllowed } from './errors.ts'
import { SCHEMA, SERVICE_ROLE, type Sql, type Transaction } from './pool.ts'

/**
 * Creates the service's role and grants it to the owner. Roles belong to the whole server, so a
 * service on another database may have created it already, or may create it concurrently. Throws
 * UserError if the owner lacks the privilege.
 */
export async function makeServiceRole(owner: Sql | Transaction): Promise<void> {
  const [row] = await owner<{ user: string }[]>`select quote_ident(current_user) as user`
  try {
    await owner.unsafe(`
      do $$ begin
        if not exists (select from pg_roles where rolname = '${SERVICE_ROLE}') then
          create role ${SERVICE_ROLE} nologin;
        end if;
      exception when duplicate_object or unique_violation then null;
      end $$;
      do $$ begin
        -- Since PostgreSQL 16 a member may still not be allowed to set the role.
        if not pg_has_role(current_user, '${SERVICE_ROLE}', case
          when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
        then
          grant ${SERVICE_ROLE} to current_user;
        end if;
      end $$`)
  } catch (error) {
    if (!isNotAllowed(error)) throw error
    throw new UserError(
      'The user of DATABASE_URL is not allowed to create the role that the service uses. ' +
        `Have an administrator of the server run, once: create role ${SERVICE_ROLE} nologin; ` +
        `grant ${SERVICE_ROLE} to ${row!.user};`,
      { cause: error },
    )
  }
}

/** Grants the service's role all privileges that it needs. The schema must exist. */
export async function grantAll(owner: Transaction): Promise<void> {
  await owner.unsafe(readShipped('sql/grants.sql'))
}

/** True if the service's role is missing or lacks privileges, for example after a restore. */
export async function lacksPrivileges(owner: Sql | Transaction): Promise<boolean> {
  const [role] = await owner<{ lacks: boolean }[]>`
    select not exists (
      select from pg_roles r
      where r.rolname = ${SERVICE_ROLE} and pg_has_role(current_user, r.oid, 'member')
    ) as lacks`
  if (role!.lacks) return true
  const [row] = await owner<{ lacks: boolean }[]>`
    select not has_schema_privilege(${SERVICE_ROLE}, ${SCHEMA}, 'usage')
      or not has_table_privilege(${SERVICE_ROLE}, 'events', 'insert')
      or exists (
        select from pg_class c
        where c.relnamespace = ${SCHEMA}::regnamespace
          and c.relkind in ('r', 'p', 'v') and not c.relispartition
          and not has_table_privilege(${SERVICE_ROLE}, c.oid, 'select')
      ) as lacks`
  return row!.lacks
}
