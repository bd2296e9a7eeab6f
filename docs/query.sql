WITH delivered AS (
  SELECT
    CASE WHEN length(endpoint) BETWEEN 1 AND 253
      AND translate(endpoint, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-', '') = ''
      THEN lower(endpoint) END AS endpoint,
    request_id, ended_at, status_code, is_streaming, ttft_ms, total_latency_ms,
    CASE WHEN input_tokens BETWEEN 0 AND 1000000000000 THEN input_tokens END AS input_tokens,
    CASE WHEN output_tokens BETWEEN 0 AND 1000000000000 THEN output_tokens END AS output_tokens,
    cache_read_tokens
  FROM request_logs
  WHERE hour BETWEEN '2026-11-24-20' AND '2026-11-24-20'
    AND ((ended_at >= TIMESTAMP '2026-11-24 20:03:00' AND ended_at < TIMESTAMP '2026-11-24 20:14:00') OR ended_at IS NULL)
), numbered AS (
  SELECT *, row_number() OVER (PARTITION BY endpoint, request_id, ended_at) AS copy
  FROM delivered
), measured AS (
  SELECT
    CASE WHEN ended_at IS NOT NULL THEN endpoint END AS endpoint,
    CASE WHEN endpoint IS NOT NULL THEN date_trunc('minute', ended_at) END AS minute,
    status_code, input_tokens, output_tokens,
    CASE WHEN cache_read_tokens BETWEEN 0 AND input_tokens THEN cache_read_tokens END AS cache_read_tokens,
    CASE WHEN status_code BETWEEN 200 AND 299 AND is_streaming AND ttft_ms BETWEEN 0 AND 1e9
      THEN ttft_ms / 1e3 END AS ttft_seconds,
    CASE WHEN status_code BETWEEN 200 AND 299 AND total_latency_ms BETWEEN 0 AND 1e9
      THEN total_latency_ms / 1e3 END AS duration_seconds,
    CASE WHEN status_code BETWEEN 200 AND 299 AND output_tokens > 0 AND total_latency_ms BETWEEN 1e-3 AND 1e9
      THEN output_tokens / (total_latency_ms / 1e3) END AS tokens_per_second
  FROM numbered
  WHERE copy = 1 OR request_id IS NULL OR endpoint IS NULL
), bucketed AS (
  SELECT endpoint, minute, status_code, input_tokens, output_tokens, cache_read_tokens,
    CASE WHEN ttft_seconds > 0 THEN TRY_CAST(ceil(log2(ttft_seconds) * 64) AS integer) WHEN ttft_seconds = 0 THEN -80000 END AS ttft,
    CASE WHEN duration_seconds > 0 THEN TRY_CAST(ceil(log2(duration_seconds) * 64) AS integer) WHEN duration_seconds = 0 THEN -80000 END AS duration,
    CASE WHEN tokens_per_second > 0 THEN TRY_CAST(ceil(log2(tokens_per_second) * 64) AS integer) WHEN tokens_per_second = 0 THEN -80000 END AS speed
  FROM measured
), counted AS (
  SELECT endpoint, minute, ttft, duration, speed,
    grouping(ttft, duration, speed) AS kind,
    count(*) AS n,
    count(CASE WHEN status_code BETWEEN 200 AND 299 THEN 1 END) AS n_2xx,
    count(CASE WHEN status_code BETWEEN 400 AND 499 THEN 1 END) AS n_4xx,
    count(CASE WHEN status_code BETWEEN 500 AND 599 THEN 1 END) AS n_5xx,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cache_read_tokens) AS cache_read_tokens
  FROM bucketed
  GROUP BY GROUPING SETS (
    (endpoint, minute), (endpoint, minute, ttft), (endpoint, minute, duration), (endpoint, minute, speed))
)
SELECT endpoint, minute,
  max(CASE WHEN kind = 7 THEN n END) AS requests,
  max(CASE WHEN kind = 7 THEN n_2xx END) AS requests_2xx,
  max(CASE WHEN kind = 7 THEN n_4xx END) AS requests_4xx,
  max(CASE WHEN kind = 7 THEN n_5xx END) AS requests_5xx,
  max(CASE WHEN kind = 7 THEN input_tokens END) AS input_tokens,
  max(CASE WHEN kind = 7 THEN output_tokens END) AS output_tokens,
  max(CASE WHEN kind = 7 THEN cache_read_tokens END) AS cache_read_tokens,
  array_agg(ttft ORDER BY ttft) FILTER (WHERE kind = 3 AND ttft IS NOT NULL) AS ttft_buckets,
  array_agg(n ORDER BY ttft) FILTER (WHERE kind = 3 AND ttft IS NOT NULL) AS ttft_counts,
  array_agg(duration ORDER BY duration) FILTER (WHERE kind = 5 AND duration IS NOT NULL) AS duration_buckets,
  array_agg(n ORDER BY duration) FILTER (WHERE kind = 5 AND duration IS NOT NULL) AS duration_counts,
  array_agg(speed ORDER BY speed) FILTER (WHERE kind = 6 AND speed IS NOT NULL) AS speed_buckets,
  array_agg(n ORDER BY speed) FILTER (WHERE kind = 6 AND speed IS NOT NULL) AS speed_counts
FROM counted
GROUP BY endpoint, minute
ORDER BY minute, endpoint
