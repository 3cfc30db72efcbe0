"""The use cases, one file per verb: values in, work done, plain values or files out."""
