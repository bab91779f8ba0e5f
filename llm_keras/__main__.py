"""`python -m llm_keras` is the command `llm-keras`."""

from llm_keras.cli import main

if __name__ == "__main__":
    main()
