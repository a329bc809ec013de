-- purpose: 97.5 % quantiles of Student's t: how many standard errors a 95 % interval reaches
-- grain: one row per (degrees)
-- storage: table
-- degrees: integer, degrees of freedom, from 1 to the number of analysed prompts
-- quantile: double, standard errors to either side

with

counted as (
    select (row_number() over (order by prompt_id))::integer as degrees
    from analysed_prompts
),

-- To the last digit of double precision: what the expansion is too coarse for.
few as (
    select degrees, quantile
    from (
        values
        (1, 12.706204736174694e0), (2, 4.302652729749462e0), (3, 3.1824463052837078e0), (4, 2.7764451051977934e0),
        (5, 2.5705818356363146e0), (6, 2.4469118511449786e0), (7, 2.364624251592784e0), (8, 2.306004135204166e0),
        (9, 2.262157162798205e0), (10, 2.228138851986274e0), (11, 2.200985160091639e0), (12, 2.1788128296672284e0),
        (13, 2.1603686564627913e0), (14, 2.144786687917804e0), (15, 2.131449545559776e0), (16, 2.1199052992212546e0),
        (17, 2.1098155778333156e0), (18, 2.1009220402410382e0), (19, 2.0930240544083087e0), (20, 2.085963447265864e0),
        (21, 2.0796138447276795e0), (22, 2.0738730679040254e0), (23, 2.0686576104190486e0), (24, 2.0638985616280245e0),
        (25, 2.0595385527532972e0), (26, 2.0555294386428735e0), (27, 2.0518305164802846e0), (28, 2.0484071417952454e0),
        (29, 2.045229642132703e0), (30, 2.0422724563012378e0)
    ) as few (degrees, quantile)
)

-- Beyond: the expansion in powers of 1 / degrees (Abramowitz and Stegun 1964, 26.7.5) at the normal
-- distribution's quantile 1.96, off by 1e-9 at most.
select
    counted.degrees,
    coalesce(
        few.quantile,
        1.959963984540054e0
        + 2.372271230298562e0 / counted.degrees
        + 2.8224986157396112e0 / power(counted.degrees, 2)
        + 2.555849679507722e0 / power(counted.degrees, 3)
        + 1.5895340533938225e0 / power(counted.degrees, 4)
        + 0.7328982119816051e0 / power(counted.degrees, 5)
    ) as quantile
from counted
left join few on few.degrees = counted.degrees
