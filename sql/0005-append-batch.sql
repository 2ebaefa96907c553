-- append_batch gives the time of an append too, which a function can't be changed to.
drop function if exists append_flushes(integer, bigint, text, text, text, text, text, text);
