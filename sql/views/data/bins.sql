-- purpose: the parts that a prompt is cut into along its length
-- grain: one row per (bin)
-- storage: table
-- bin: integer, 0-based

select numbers.number as bin
from numbers
cross join parameters
where numbers.number < parameters.bins
