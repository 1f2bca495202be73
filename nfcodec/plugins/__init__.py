"""Where other libraries look for files: importing a module here teaches its library to open .nfld.

    import nfcodec.plugins.pillow        # Image.open("x.nfld"), images
    import nfcodec.plugins.imageio       # imageio.v3.imread("x.nfld"), images and volumes
    import nfcodec.plugins.trimesh       # trimesh.load_mesh("x.nfld"), surfaces

None of these libraries looks for plugins of others by itself. What they open is the field at its source's own samples; for
more use `nfcodec.open`.
"""
