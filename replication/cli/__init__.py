"""The commands, one module each: parse, call, print."""

INTERRUPTED = 130  # exit status
RESUME = "interrupted; run the same command again, which resumes what it was training"
