"""A function in Python: main takes the arguments and returns what becomes JSON."""


def main(args):
    return {"greeting": f"Hello, {args.get('name', 'world')}, from Python"}
