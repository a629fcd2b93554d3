"""Training of the library's Keras models on arrays read from Parquet, and the export of what was trained.

Importing a module of this package may import TensorFlow, so only offline code does it. The steps of a use case are:
`runtime.use_cores`, `table.read_columns`, `models.inputs.check_columns`, a model of `friesian_fast.models`, `loop.fit`,
`export.save_keras`, `export.save_serving`, `export.export_onnx`, `files.save_json`.
"""
