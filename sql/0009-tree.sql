-- Tiles of all levels (see functions/integrate_roots.sql): what was level 0 alone becomes a tree.
-- Those of the events that are there are made by the service, in steps.

comment on table tiles is
  'C2SP tlog-tiles. Level 0 has the hashes of the leaves, each level above the roots of the full '
  'tiles below: floor(leaves / 256^level) hashes, 256 to a tile, every one full but the last.';
