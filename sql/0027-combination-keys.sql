-- Combinations may have several kilobytes, and an index can't keep as many of each: the unique keys
-- of usage by combination have the hashes of long ones. `decode` returns the bytes of the text, as
-- `convert_to` does, which is not immutable.

alter table api_key_parts drop constraint api_key_parts_pkey;
create unique index api_key_parts_key on api_key_parts (
  generation, api_key_id, quarter, shard,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

alter table api_key_backdated_parts drop constraint api_key_backdated_parts_pkey;
create unique index api_key_backdated_parts_key on api_key_backdated_parts (
  generation, api_key_id, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

alter table provider_group_parts drop constraint provider_group_parts_pkey;
create unique index provider_group_parts_key on provider_group_parts (
  generation, provider_group_id, quarter, shard,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

alter table provider_group_backdated_parts drop constraint provider_group_backdated_parts_pkey;
create unique index provider_group_backdated_parts_key on provider_group_backdated_parts (
  generation, provider_group_id, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

alter table key_parts drop constraint key_parts_pkey;
create unique index key_parts_key on key_parts (
  generation, token_hash, quarter, shard,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

alter table key_backdated_parts drop constraint key_backdated_parts_pkey;
create unique index key_backdated_parts_key on key_backdated_parts (
  generation, token_hash, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);
