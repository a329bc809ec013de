-- purpose: the models whose attention is stored
-- grain: one row per (model)
-- model: varchar, name of the model in this dataset
-- architecture: varchar, class of the model in transformers
-- n_layers: integer, attention layers
-- n_heads: integer, query heads a layer
-- d_model: integer, width of the residual stream
-- d_head: integer, width of a head
-- n_ctx: integer, most tokens that the model reads
-- d_vocab: integer, tokens that the model embeds
-- n_parameters: bigint, shared ones counted once
-- is_causal: boolean, true where a query sees no later key
-- tokenizer: varchar, joins tokens
-- source: varchar, where the model came from, as its ingest named it
-- revision: varchar, commit of the source, null for local files
-- weights_sha256: varchar, hash of the weights' file
-- dtype: varchar, precision in which the model ran
-- precision: varchar, of the stored weights: float32 as the model gave them, float16 rounded
-- device: varchar, where it ran

select
    model_rows.model,
    model_rows.architecture,
    model_rows.n_layers::integer as n_layers,
    model_rows.n_heads::integer as n_heads,
    model_rows.d_model::integer as d_model,
    model_rows.d_head::integer as d_head,
    model_rows.n_ctx::integer as n_ctx,
    model_rows.d_vocab::integer as d_vocab,
    model_rows.n_parameters::bigint as n_parameters,
    model_rows.is_causal,
    model_rows.tokenizer,
    model_rows.source,
    model_rows.revision,
    model_rows.weights_sha256,
    model_rows.dtype,
    model_rows.precision,
    model_rows.device
from model_rows
