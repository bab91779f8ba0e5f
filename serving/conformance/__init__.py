"""Cases that tell whether a server speaks TensorFlow Serving's REST API, for any server.

    python -m serving.conformance export /tmp/half_plus_two
    python -m serving.conformance check http://127.0.0.1:8501

The first writes the model that the cases ask for, the second asks. The server under test serves it
as `half_plus_two`, with the label `Version_Label` on version 123.
"""
