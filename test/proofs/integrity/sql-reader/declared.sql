-- Checks the dimensions and measures of a catalog change; earlier versions than 3 have none. Raises
-- an error if no append could have written them.
create function pg_temp.check_declared(p_version integer, p_payload json) returns void
language plpgsql as $$
declare
  v_list text;
  v_kind text;
  v_row json;
begin
  foreach v_list in array array['upserted', 'ended'] loop
    foreach v_kind in array array['dimensions', 'measures'] loop
      continue when p_payload -> v_list -> v_kind is null;
      if p_version < 3 then
        raise data_exception;
      end if;
      for v_row in select r.value from json_array_elements(p_payload -> v_list -> v_kind) r loop
        perform pg_temp.to_text(v_row -> 'name', '^[a-z][a-z0-9_]{0,63}$');
        continue when v_kind = 'dimensions';
        if (pg_temp.to_counts(json_build_array(v_row -> 'number'), 0))[1] > 255 then
          raise data_exception;
        end if;
        if v_row -> 'unit' is not null then
          perform pg_temp.to_name(v_row -> 'unit', 1, 64);
        end if;
      end loop;
    end loop;
  end loop;
end $$;
