WITH delivered AS (
  SELECT
    CASE WHEN ended_at IS NOT NULL
      AND length(endpoint) <= 253
      AND regexp_replace('.' || endpoint, '\A(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\z', '') = ''
      THEN lower(endpoint) END AS endpoint,
    nullif(request_id, '') AS request_id,
    ended_at,
    CASE WHEN status_code BETWEEN 100 AND 599 THEN status_code ELSE 0 END AS status_code,
    CASE WHEN input_tokens BETWEEN 0 AND 1000000000000 THEN input_tokens END AS input_tokens,
    CASE WHEN output_tokens BETWEEN 0 AND 1000000000000 THEN output_tokens END AS output_tokens,
    CASE WHEN input_tokens <= 1000000000000 AND cache_read_tokens BETWEEN 0 AND input_tokens
      THEN cache_read_tokens END AS cache_read_tokens,
    CASE WHEN status_code BETWEEN 200 AND 299 AND is_streaming AND ttft_ms BETWEEN 0 AND 1e9
      THEN ttft_ms END AS ttft_ms,
    CASE WHEN status_code BETWEEN 200 AND 299 AND total_latency_ms BETWEEN 0 AND 1e9
      THEN total_latency_ms END AS duration_ms
  FROM request_logs
  WHERE hour BETWEEN '2026-11-24-19' AND '2026-11-24-20'
    AND ((ended_at >= TIMESTAMP '2026-11-24 20:03:00' AND ended_at < TIMESTAMP '2026-11-24 20:14:00')
      OR ended_at IS NULL)
), numbered AS (
  SELECT *,
    CASE WHEN endpoint IS NOT NULL THEN date_trunc('minute', ended_at) END AS minute,
    CASE WHEN output_tokens > 0 AND duration_ms >= 1e-3
      THEN output_tokens / (duration_ms / 1e3) END AS tokens_per_second,
    row_number() OVER (
      PARTITION BY endpoint, request_id, ended_at
      ORDER BY status_code, input_tokens, output_tokens, cache_read_tokens, ttft_ms, duration_ms) AS copy
  FROM delivered
), measured AS (
  SELECT endpoint, minute, status_code, input_tokens, output_tokens, cache_read_tokens,
    CASE WHEN ttft_ms BETWEEN 1e-3 AND 1e9 THEN TRY_CAST(ceil(log2(ttft_ms / 1e3) * 64) AS integer)
      WHEN ttft_ms < 1e-3 THEN -80000 END AS ttft,
    CASE WHEN ttft_ms BETWEEN 1e-3 AND 1e9 THEN TRY_CAST(round(ttft_ms * 1e3) AS bigint)
      WHEN ttft_ms < 1e-3 THEN 0 END AS ttft_sum,
    CASE WHEN duration_ms BETWEEN 1e-3 AND 1e9 THEN TRY_CAST(ceil(log2(duration_ms / 1e3) * 64) AS integer)
      WHEN duration_ms < 1e-3 THEN -80000 END AS duration,
    CASE WHEN duration_ms BETWEEN 1e-3 AND 1e9 THEN TRY_CAST(round(duration_ms * 1e3) AS bigint)
      WHEN duration_ms < 1e-3 THEN 0 END AS duration_sum,
    CASE WHEN tokens_per_second BETWEEN 1e-6 AND 1e9 THEN TRY_CAST(ceil(log2(tokens_per_second) * 64) AS integer)
      WHEN tokens_per_second < 1e-6 THEN -80000 END AS speed,
    CASE WHEN tokens_per_second BETWEEN 1e-6 AND 1e9 THEN TRY_CAST(round(tokens_per_second * 1e3) AS bigint)
      WHEN tokens_per_second < 1e-6 THEN 0 END AS speed_sum
  FROM numbered
  WHERE copy = 1 OR request_id IS NULL OR endpoint IS NULL
), counted AS (
  SELECT endpoint, minute, status_code, ttft, duration, speed,
    grouping(status_code, ttft, duration, speed) AS kind,
    count(*) AS n,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cache_read_tokens) AS cache_read_tokens,
    sum(ttft_sum) AS ttft_sum,
    sum(duration_sum) AS duration_sum,
    sum(speed_sum) AS speed_sum
  FROM measured
  GROUP BY GROUPING SETS (
    (endpoint, minute, status_code), (endpoint, minute, ttft), (endpoint, minute, duration), (endpoint, minute, speed))
), per_minute AS (
  SELECT endpoint, minute,
    sum(CASE WHEN kind = 7 THEN n END) AS requests,
    array_agg(status_code ORDER BY status_code) FILTER (WHERE kind = 7) AS status_codes,
    array_agg(n ORDER BY status_code) FILTER (WHERE kind = 7) AS status_counts,
    sum(CASE WHEN kind = 7 THEN input_tokens END) AS input_tokens,
    sum(CASE WHEN kind = 7 THEN output_tokens END) AS output_tokens,
    sum(CASE WHEN kind = 7 THEN cache_read_tokens END) AS cache_read_tokens,
    sum(CASE WHEN kind = 7 THEN ttft_sum END) AS ttft_sum,
    sum(CASE WHEN kind = 7 THEN duration_sum END) AS duration_sum,
    sum(CASE WHEN kind = 7 THEN speed_sum END) AS speed_sum,
    array_agg(ttft ORDER BY ttft) FILTER (WHERE kind = 11 AND ttft IS NOT NULL) AS ttft_buckets,
    array_agg(n ORDER BY ttft) FILTER (WHERE kind = 11 AND ttft IS NOT NULL) AS ttft_counts,
    array_agg(duration ORDER BY duration) FILTER (WHERE kind = 13 AND duration IS NOT NULL) AS duration_buckets,
    array_agg(n ORDER BY duration) FILTER (WHERE kind = 13 AND duration IS NOT NULL) AS duration_counts,
    array_agg(speed ORDER BY speed) FILTER (WHERE kind = 14 AND speed IS NOT NULL) AS speed_buckets,
    array_agg(n ORDER BY speed) FILTER (WHERE kind = 14 AND speed IS NOT NULL) AS speed_counts
  FROM counted
  GROUP BY endpoint, minute
), summed AS (
  SELECT *, CASE WHEN endpoint IS NOT NULL THEN sum(requests) OVER (PARTITION BY endpoint) END AS endpoint_requests
  FROM per_minute
), ranked AS (
  SELECT *, endpoint IS NOT NULL
    AND dense_rank() OVER (ORDER BY endpoint_requests DESC NULLS LAST, endpoint) <= 20000 AS kept
  FROM summed
), parted AS (
  SELECT *,
    row_number() OVER (PARTITION BY kept ORDER BY endpoint, minute) AS place,
    sum(requests) OVER (PARTITION BY kept) AS part_requests
  FROM ranked
)
SELECT
  CASE WHEN kept THEN endpoint END AS endpoint,
  CASE WHEN kept THEN minute END AS minute,
  CASE WHEN kept THEN status_codes ELSE ARRAY[0] END AS status_codes,
  CASE WHEN kept THEN status_counts ELSE ARRAY[part_requests] END AS status_counts,
  CASE WHEN kept THEN input_tokens END AS input_tokens,
  CASE WHEN kept THEN output_tokens END AS output_tokens,
  CASE WHEN kept THEN cache_read_tokens END AS cache_read_tokens,
  CASE WHEN kept THEN ttft_sum END AS ttft_sum,
  CASE WHEN kept THEN duration_sum END AS duration_sum,
  CASE WHEN kept THEN speed_sum END AS speed_sum,
  CASE WHEN kept THEN ttft_buckets END AS ttft_buckets,
  CASE WHEN kept THEN ttft_counts END AS ttft_counts,
  CASE WHEN kept THEN duration_buckets END AS duration_buckets,
  CASE WHEN kept THEN duration_counts END AS duration_counts,
  CASE WHEN kept THEN speed_buckets END AS speed_buckets,
  CASE WHEN kept THEN speed_counts END AS speed_counts
FROM parted
WHERE kept OR place = 1
ORDER BY endpoint, minute
